// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

#include <mnv3/weights/bytes/crc32.hpp>
#include <mnv3/weights/bytes/inflate.hpp>
#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/zip_record.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/dtype.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3::weights {

/// Reads the values of a checkpoint's tensors.
///
/// Errors  WeightsError, without the file's name.
class TensorValues {
 public:
  TensorValues(const InputFile& file, const Checkpoint& checkpoint)
      : file_(file), checkpoint_(checkpoint) {}

  /// How many bytes the tensor spans in its storage, from its first to its last.
  std::size_t span_bytes(const TensorEntry& entry) const {
    const auto fail = [&](std::string_view what) {
      throw WeightsError(fmt::format("tensor '{}' {}", printable(entry.name), what));
    };
    if (!entry.unreadable.empty()) fail("cannot be read: " + entry.unreadable);
    if (entry.storage >= checkpoint_.storages.size()) fail("has no storage");
    const std::int64_t span = element_span(entry, storage_of(entry).bytes);
    if (is_spread_out(entry, span)) fail("is spread over too much of its storage");
    return static_cast<std::size_t>(span * row_of(entry.dtype).bytes);
  }

  /// Copies what the tensor spans. Where the file has a check sum of just that, it is checked.
  ///
  /// @param size  Its `span_bytes`.
  void copy(const TensorEntry& entry, void* to, std::size_t size) const {
    if (size == 0) return;
    const Storage& storage = storage_of(entry);
    const auto offset = static_cast<std::uint64_t>(entry.offset * row_of(entry.dtype).bytes);
    if (!storage.record) return file_.read(storage.begin + offset, to, size);
    const ZipRecord& record = *storage.record;
    const std::uint64_t begin = data_of(file_, record);
    if (!record.is_deflated) {
      file_.read(begin + offset, to, size);
    } else {
      if (size != record.bytes)
        throw WeightsError(
            fmt::format("tensor '{}' is a part of '{}', which is compressed. Re-save it in Python: "
                        "torch.save(torch.load(path), new_path)",
                        printable(entry.name), storage.name));
      inflate(file_, begin, record.stored, to, size);
    }
    if (size == record.bytes) check_crc(record, crc32(0, to, size));
  }

  /// Reads the storage of a tensor once and keeps nothing, to see whether it can be read and is
  /// what its check sum says.
  void check(const TensorEntry& entry, std::size_t size) const {
    const Storage& storage = storage_of(entry);
    constexpr std::uint64_t piece = limits::piece_bytes;
    if (storage.record && storage.record->is_deflated) {
      std::vector<char> bytes(size);
      return copy(entry, bytes.data(), size);
    }
    const std::uint64_t begin = storage.record ? data_of(file_, *storage.record) : storage.begin;
    const std::uint64_t end = begin + (storage.record ? storage.record->bytes : storage.bytes);
    std::vector<char> bytes(static_cast<std::size_t>(std::min(piece, end - begin)));
    std::uint32_t crc = 0;
    for (std::uint64_t at = begin; at < end; at += bytes.size()) {
      bytes.resize(static_cast<std::size_t>(std::min(piece, end - at)));
      file_.read(at, bytes.data(), bytes.size());
      if (storage.record) crc = crc32(crc, bytes.data(), bytes.size());
    }
    if (storage.record) check_crc(*storage.record, crc);
  }

 private:
  const Storage& storage_of(const TensorEntry& entry) const {
    return checkpoint_.storages[entry.storage];
  }

  const InputFile& file_;
  const Checkpoint& checkpoint_;
};

}  // namespace mnv3::weights
