// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/pickle.hpp>
#include <mnv3/weights/formats/pickled_tensors.hpp>

namespace mnv3::weights {

/// Reads pickles that stand one after the other in a file, each as far as it goes.
class PickleSequence {
 public:
  explicit PickleSequence(const InputFile& file) : file_(file) {}

  /// The next one, of at most that size. It is valid until there is another.
  pickle::Document next(std::uint64_t at_most) {
    // How long it is only its end tells. What follows the last one are the tensors, which are not
    // to be read, so it is tried with more and more of the file.
    constexpr std::uint64_t first_try = 1 << 12;
    const std::uint64_t left = std::min(file_.size() - position_, at_most);
    for (std::uint64_t length = first_try;; length *= 4) {
      length = std::min(length, left);
      bytes_ = file_.read(position_, length, at_most);
      try {
        pickle::Document document = pickle::read(bytes_);
        position_ += document.size;
        return document;
      } catch (const pickle::EndsTooEarly&) {
        if (length < left) continue;
        if (left < at_most) throw;
        throw WeightsError(text("the pickle has more than ", at_most, " bytes"));
      }
    }
  }

  std::uint64_t position() const { return position_; }

 private:
  const InputFile& file_;
  std::uint64_t position_ = 0;
  std::string bytes_;
};

/// The number that a legacy file begins with, as the pickle of it has it.
inline constexpr std::string_view legacy_magic{"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"};

/// Whether a file that begins so may be one. A pickle of protocol 4 or 5 has a frame before it.
inline bool is_legacy(std::string_view head) {
  if (head.size() < 2 || head[0] != '\x80') return false;
  const std::size_t at = head.find(legacy_magic);
  return at == 4 || at == 13;
}

/// Whether that block would begin a tar archive: torch looks for one first, and finds other weights
/// in a file that is both.
///
/// Source  CPython 3.11 Lib/tarfile.py `TarInfo.frombuf`.
inline bool is_tar_header(std::string_view block) {
  constexpr std::size_t size = 512, begin = 148, length = 8;
  if (block.size() < size) return false;
  std::int64_t as_unsigned = 0, as_signed = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const char c = i >= begin && i < begin + length ? ' ' : block[i];
    as_unsigned += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  std::string_view digits = block.substr(begin, length);
  if (digits[0] == '\x80' || digits[0] == '\xff') return true;  // another way to write numbers
  digits = digits.substr(0, digits.find('\0'));
  while (!digits.empty() && is_space(digits.front())) digits.remove_prefix(1);
  std::int64_t sum = 0;
  for (const char c : digits) {
    if (c == '_') continue;
    if (c < '0' || c > '7') break;
    sum = 8 * sum + (c - '0');
  }
  return sum == as_unsigned || sum == as_signed;
}

/// Reads what `torch.save` wrote before torch 1.6: five pickles - a magic number, a version,
/// properties of the machine, the value, the storages' keys - and then the storages in that order,
/// each after the number of its elements.
///
/// Errors  WeightsError, without the file's name.
/// Source  torch 1.13.1 torch/serialization.py `_legacy_save`, `_legacy_load`.
inline Checkpoint read_torch_legacy(const InputFile& file) {
  if (is_tar_header(file.read(0, std::min<std::uint64_t>(file.size(), 512), 512)))
    throw WeightsError("it is a legacy file of torch.save and a tar archive in one");
  PickleSequence pickles(file);
  constexpr std::uint64_t small = 1 << 12;
  if (const pickle::Document magic = pickles.next(small);
      magic.root->kind != pickle::Kind::big_integer || magic.root->text() != legacy_magic)
    throw WeightsError("it is a Python pickle that torch.save did not write");
  constexpr std::int64_t known_version = 1001;
  if (const pickle::Document version = pickles.next(small);
      version.root->kind != pickle::Kind::integer || version.root->integer() != known_version)
    throw WeightsError("it is in a version of torch's legacy format that is not known");
  {
    const pickle::Document machine = pickles.next(small);
    const auto items = machine.root->items();
    for (std::size_t i = 0; machine.root->kind == pickle::Kind::dict && i + 1 < items.size();
         i += 2)
      if (items[i]->is_text("little_endian") && items[i + 1]->integer() != 1)
        throw WeightsError(
            "it was written on a big-endian machine. Re-save it in Python there as safetensors");
  }
  Checkpoint checkpoint{.format = Format::torch_legacy};
  std::vector<PickledStorages::Source> sources;
  {
    const pickle::Document document = pickles.next(limits::pickle_bytes);
    PickledTensors found(document);
    checkpoint.entries = std::move(found.entries);
    checkpoint.skipped_values = found.skipped;
    sources = found.storages();
  }
  std::map<std::string_view, std::size_t> by_key;
  for (const PickledStorages::Source& source : sources) {
    by_key.emplace(source.key, checkpoint.storages.size());
    checkpoint.storages.push_back(
        {.name = text("storage '", printable(source.key), '\''), .bytes = source.bytes});
  }

  const pickle::Document keys = pickles.next(limits::pickle_bytes);
  if (keys.root->kind != pickle::Kind::list)
    throw WeightsError("it is damaged: there is no list of storages");
  std::uint64_t position = pickles.position();
  std::vector<bool> is_there(checkpoint.storages.size());
  for (const pickle::Value* const key : keys.root->items()) {
    const auto known = by_key.find(key->text().substr(0, limits::key_bytes + 1));
    if (known == by_key.end())
      throw WeightsError(text("it has a storage '", printable(key->text()),
                              "' of a kind that is not supported, or that no tensor uses"));
    const PickledStorages::Source& source = sources[known->second];
    Storage& storage = checkpoint.storages[known->second];
    if (is_there[known->second]) throw WeightsError(text(storage.name, " is there twice"));
    is_there[known->second] = true;
    std::int64_t elements = 0;
    file.read(position, &elements, sizeof elements);
    if (elements != source.elements)
      throw WeightsError(text(storage.name, " has ", source.elements, " elements, but ", elements,
                              " where it is stored"));
    storage.begin = position + sizeof elements;
    if (!file.has(storage.begin, storage.bytes))
      throw WeightsError(
          text(storage.name, " reaches beyond the end of the file. Copy or download it again"));
    position = storage.begin + storage.bytes;
  }
  for (const TensorEntry& entry : checkpoint.entries)
    if (entry.unreadable.empty() && !is_there[entry.storage])
      throw WeightsError(text("tensor '", printable(entry.name), "' has no values: there is no ",
                              checkpoint.storages[entry.storage].name));
  return checkpoint;
}

}  // namespace mnv3::weights
