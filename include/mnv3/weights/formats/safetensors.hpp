// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
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
#include <mnv3/weights/formats/dtype.hpp>
#include <mnv3/weights/formats/json_cursor.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3::weights {

/// Reads a safetensors header into a Checkpoint.
class SafetensorsHeader {
 public:
  /// @param begin  Where the values begin in the file.
  /// @param size   How many bytes there are of them.
  SafetensorsHeader(std::string_view header, std::uint64_t begin, std::uint64_t size)
      : in_(header), begin_(begin), size_(size) {
    if (!header.starts_with('{')) in_.fail("does not begin with '{'");
    if (!is_utf8(header)) in_.fail("is not UTF-8");
    in_.expect('{');
    in_.items('}', [this] {
      std::string name = in_.text();
      in_.expect(':');
      names_bytes_ += name.size();
      if (name.size() > limits::name_bytes || names_bytes_ > limits::names_bytes)
        throw WeightsError(text("the names of its tensors are too long: '", printable(name), '\''));
      if (!names_.insert(name).second)
        throw WeightsError(text("tensor '", printable(name), "' is there twice"));
      if (name == "__metadata__")
        metadata();
      else
        tensor(std::move(name));
    });
    in_.end();
    check_extents();
  }

  Checkpoint checkpoint{.format = Format::safetensors};

 private:
  /// Texts by name; of no interest here.
  void metadata() {
    std::set<std::string> keys;
    in_.expect('{');
    in_.items('}', [&] {
      const auto [key, is_new] = keys.insert(in_.text());
      if (!is_new) in_.fail(text("has '", printable(*key), "' twice in its metadata"));
      if (keys.size() > limits::metadata) in_.fail("has too much metadata");
      in_.expect(':');
      in_.text();
      ++checkpoint.skipped_values;
    });
  }

  void tensor(std::string name) {
    TensorEntry entry{.name = std::move(name)};
    std::string dtype;
    std::vector<std::int64_t> offsets;
    std::set<std::string> fields;
    in_.expect('{');
    in_.items('}', [&] {
      const std::string field = in_.text();
      in_.expect(':');
      if (!fields.insert(field).second) in_.fail(text("has '", printable(field), "' twice"));
      if (field == "dtype")
        dtype = in_.text();
      else if (field == "shape")
        entry.shape = naturals();
      else if (field == "data_offsets")
        offsets = naturals();
      else
        in_.fail("has a field that is not known");
    });
    const auto fail = [&](std::string_view what) {
      throw WeightsError(text("tensor '", printable(entry.name), "' ", what));
    };
    if (fields.size() != 3 || offsets.size() != 2) fail("has no dtype, shape or place");
    const auto row = std::find_if(dtypes.begin(), dtypes.end(), [&](const DtypeRow& candidate) {
      return candidate.safetensors == dtype;
    });
    if (row != dtypes.end())
      entry.dtype = row->dtype;
    else
      entry.unreadable = text("it is ", printable(dtype));
    entry.strides = dense_strides(entry.shape);
    if (offsets[1] < offsets[0] || static_cast<std::uint64_t>(offsets[1]) > size_)
      fail("reaches beyond the end of the file. Copy or download it again");
    entry.storage = checkpoint.storages.size();
    const auto bytes = static_cast<std::uint64_t>(offsets[1] - offsets[0]);
    if (entry.unreadable.empty()) {
      const auto elements = static_cast<std::uint64_t>(element_span(entry, bytes));
      if (elements * static_cast<std::uint64_t>(row_of(entry.dtype).bytes) != bytes)
        fail("has another size than its shape");
    }
    if (checkpoint.entries.size() >= limits::tensors) throw WeightsError("it has too many tensors");
    checkpoint.storages.push_back({.name = text("tensor '", printable(entry.name), '\''),
                                   .bytes = bytes,
                                   .begin = begin_ + static_cast<std::uint64_t>(offsets[0])});
    checkpoint.entries.push_back(std::move(entry));
  }

  std::vector<std::int64_t> naturals() {
    std::vector<std::int64_t> numbers;
    in_.expect('[');
    in_.items(']', [&] {
      if (numbers.size() == limits::rank) in_.fail("has a shape that is too long");
      numbers.push_back(in_.natural());
    });
    return numbers;
  }

  /// The format allows no byte that belongs to two tensors, or to none.
  void check_extents() {
    std::vector<const Storage*> by_position;
    for (const Storage& storage : checkpoint.storages) by_position.push_back(&storage);
    std::sort(by_position.begin(), by_position.end(), [](const Storage* a, const Storage* b) {
      return std::pair(a->begin, a->bytes) < std::pair(b->begin, b->bytes);
    });
    std::uint64_t end = begin_;
    for (const Storage* const storage : by_position) {
      if (storage->begin != end)
        throw WeightsError(text(storage->name, ' ',
                                storage->begin < end ? "overlaps" : "leaves a gap to",
                                " the one before it"));
      end += storage->bytes;
    }
    if (end != begin_ + size_)
      throw WeightsError(
          text("there are ", begin_ + size_ - end, " bytes in it that belong to no tensor"));
  }

  JsonCursor in_;
  std::uint64_t begin_;
  std::uint64_t size_;
  std::set<std::string> names_;
  std::size_t names_bytes_ = 0;
};

/// Reads a safetensors file: the size of a header in JSON, the header, the values.
///
/// Errors  WeightsError, without the file's name.
/// Source  github.com/huggingface/safetensors, README.md "Format".
inline Checkpoint read_safetensors(const InputFile& file) {
  std::uint64_t size = 0;
  file.read(0, &size, sizeof size);
  if (size > limits::header_bytes || !file.has(sizeof size, size))
    throw WeightsError(
        "it is a safetensors file whose header reaches beyond its end. Copy or download it again");
  const std::uint64_t begin = sizeof size + size;
  Checkpoint checkpoint = SafetensorsHeader(file.read(sizeof size, size, limits::header_bytes),
                                            begin, file.size() - begin)
                              .checkpoint;
  if (checkpoint.entries.empty()) throw WeightsError("there are no tensors in it");
  return checkpoint;
}

}  // namespace mnv3::weights
