// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <mnv3/weights/bytes/crc32.hpp>
#include <mnv3/weights/bytes/inflate.hpp>
#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/zip_record.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/read_checkpoint.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/tensors/name_file.hpp>
#include <mnv3/weights/tensors/torch_dtype.hpp>

namespace mnv3 {

/// The tensors of a weights file: what Python's `torch.save` wrote, zip archive or legacy, a
/// TorchScript archive of `torch.jit.save`, or a safetensors file. Which it is, its content says.
/// Tensors within dicts or modules are named by the way to them: "model.features.0.0.weight".
/// Nothing in the file is ever executed.
///
/// Errors  WeightsError, from the constructor and from what reads values. The constructor has
///         checked every size in the file before any tensor is read.
class CheckpointReader {
 public:
  /// Opens the file and reads what is in it, but not the tensors' values.
  explicit CheckpointReader(const std::filesystem::path& path) : path_(path) {
    named([this] { open(std::make_unique<const weights::InputFile>(path_)); });
  }

  /// Reads a file that is in memory, which must outlive the reader. It is not copied.
  ///
  /// @param name  In errors, instead of the file's.
  explicit CheckpointReader(std::span<const std::byte> bytes, std::string name = "memory")
      : path_(std::move(name)) {
    named([&] { open(std::make_unique<const weights::InputFile>(bytes)); });
  }

  /// Reads a file that is open, or held in memory (`InputFile::hold`), so that it is the one that
  /// was hashed.
  CheckpointReader(std::unique_ptr<const weights::InputFile> file, std::filesystem::path path)
      : path_(std::move(path)) {
    named([&] { open(std::move(file)); });
  }

  const std::filesystem::path& path() const { return path_; }
  Format format() const { return checkpoint_.format; }

  /// In the order of the file. Names are unique.
  const std::vector<TensorEntry>& entries() const { return checkpoint_.entries; }

  /// How many values of the file are left out: epoch numbers, learning rates, arguments, and what
  /// has neither a text nor an integer for a key.
  std::size_t skipped_values() const { return checkpoint_.skipped_values; }

  /// How much of the file has been read so far, all in all.
  std::uint64_t bytes_read() const { return file_->bytes_read(); }

  /// The size of the file.
  std::uint64_t size() const { return file_->size(); }

  /// Reads one tensor. It is on the CPU, has the strides it was saved with, and owns its memory.
  /// Safe to call from several threads.
  torch::Tensor read(const TensorEntry& entry) const { return read(std::span(&entry, 1)).front(); }

  /// Reads these tensors, each as above. What several of them share is read once. Of the file no
  /// more is read than they span, but for records of an archive, which are read as a whole, because
  /// their check sums are of all of it.
  std::vector<torch::Tensor> read(std::span<const TensorEntry> entries) const {
    return named([&] {
      std::vector<torch::Tensor> tensors;
      std::map<std::size_t, std::vector<Part>> parts;  // by storage
      std::uint64_t total = 0;
      for (const TensorEntry& entry : entries) {
        const std::size_t size = span_bytes(entry);
        total += size;
        // Views can make any amount of memory out of a small file.
        if (total / weights::limits::overlap > file_->size())
          throw WeightsError("its tensors share their values many times over");
        tensors.push_back(at::empty_strided(entry.shape, entry.strides,
                                            at::dtype(weights::scalar_type_of(entry.dtype))));
        if (size == 0) continue;
        const auto offset =
            static_cast<std::uint64_t>(entry.offset * weights::row_of(entry.dtype).bytes);
        auto* const bytes = static_cast<unsigned char*>(tensors.back().data_ptr());
        parts[entry.storage].push_back({&entry, bytes, offset, size});
      }
      for (const auto& [storage, its_parts] : parts) read_parts(storage, its_parts);
      return tensors;
    });
  }

 private:
  void open(std::unique_ptr<const weights::InputFile> file) {
    file_ = std::move(file);
    checkpoint_ = weights::read_checkpoint(*file_);
  }

  template <class Action>
  std::invoke_result_t<Action> named(Action action) const {
    return weights::name_file_in_errors("read", path_, action);
  }

  const weights::Storage& storage_of(const TensorEntry& entry) const {
    if (entry.storage >= checkpoint_.storages.size())
      throw WeightsError(
          fmt::format("tensor '{}' has no storage", weights::printable(entry.name)));
    return checkpoint_.storages[entry.storage];
  }

  /// How many bytes the tensor spans in its storage, from its first to its last.
  std::size_t span_bytes(const TensorEntry& entry) const {
    if (!entry.unreadable.empty())
      throw WeightsError(fmt::format("tensor '{}' cannot be read: {}",
                                     weights::printable(entry.name), entry.unreadable));
    const std::int64_t span = weights::element_span(entry, storage_of(entry).bytes);
    if (weights::is_spread_out(entry, span))
      throw WeightsError(fmt::format("tensor '{}' is spread over too much of its storage",
                                     weights::printable(entry.name)));
    return static_cast<std::size_t>(span * weights::row_of(entry.dtype).bytes);
  }

  /// Bytes of a storage, and where they are to be.
  struct Part {
    const TensorEntry* entry = nullptr;
    unsigned char* to = nullptr;
    std::uint64_t offset = 0;
    std::size_t size = 0;
  };

  void read_parts(std::size_t index, std::span<const Part> parts) const {
    const weights::Storage& storage = checkpoint_.storages[index];
    if (!storage.record)
      for (const Part& part : parts) file_->read(storage.begin + part.offset, part.to, part.size);
    else if (storage.record->is_deflated)
      for (const Part& part : parts) unpack(storage, part);
    else
      read_stored(*storage.record, parts);
    for (const Part& part : parts)
      if (part.entry->dtype == Dtype::boolean)  // which is 0 or 1, whatever is in the file
        std::transform(part.to, part.to + part.size, part.to,
                       [](unsigned char byte) -> unsigned char { return byte != 0; });
  }

  void unpack(const weights::Storage& storage, const Part& part) const {
    const weights::ZipRecord& record = *storage.record;
    if (part.size != record.bytes)
      throw WeightsError(
          fmt::format("tensor '{}' is a part of '{}', which is compressed. Re-save it in Python: "
                      "torch.save(torch.load(path), new_path)",
                      weights::printable(part.entry->name), storage.name));
    weights::inflate(*file_, weights::data_of(*file_, record), record.stored, part.to, part.size);
    weights::check_crc(record, weights::crc32(0, part.to, part.size));
  }

  /// Reads a record from one end to the other: what is copied is what is summed.
  void read_stored(const weights::ZipRecord& record, std::span<const Part> parts) const {
    const std::uint64_t begin = weights::data_of(*file_, record);
    if (parts.size() == 1 && parts[0].size == record.bytes) {
      file_->read(begin, parts[0].to, parts[0].size);
      return weights::check_crc(record, weights::crc32(0, parts[0].to, parts[0].size));
    }
    std::vector<unsigned char> bytes(static_cast<std::size_t>(
        std::min<std::uint64_t>(weights::limits::piece_bytes, record.bytes)));
    std::uint32_t crc = 0;
    for (std::uint64_t at = 0; at < record.bytes; at += bytes.size()) {
      bytes.resize(static_cast<std::size_t>(
          std::min<std::uint64_t>(bytes.size(), record.bytes - at)));
      file_->read(begin + at, bytes.data(), bytes.size());
      crc = weights::crc32(crc, bytes.data(), bytes.size());
      for (const Part& part : parts) copy_common(bytes, at, part);
    }
    weights::check_crc(record, crc);
  }

  /// Copies what `part` has of the bytes that stand at `begin` of its storage.
  static void copy_common(std::span<const unsigned char> bytes, std::uint64_t begin,
                          const Part& part) {
    const std::uint64_t first = std::max(begin, part.offset);
    const std::uint64_t last = std::min(begin + bytes.size(), part.offset + part.size);
    if (first < last)
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(first - begin), last - first,
                  part.to + (first - part.offset));
  }

  std::filesystem::path path_;
  std::unique_ptr<const weights::InputFile> file_;
  weights::Checkpoint checkpoint_;
};

}  // namespace mnv3
