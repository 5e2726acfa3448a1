// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <mnv3/weights/bytes/crc32.hpp>
#include <mnv3/weights/bytes/inflate.hpp>
#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
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
  /// @param summed  For each storage, whether the check sum of all of it was right: then a part of it
  ///                is read alone. Null: each copy sums it.
  TensorValues(const InputFile& file, const Checkpoint& checkpoint,
               std::atomic<bool>* summed = nullptr)
      : file_(file), checkpoint_(checkpoint), summed_(summed) {}

  /// How many bytes the tensor spans in its storage, from its first to its last.
  std::size_t span_bytes(const TensorEntry& entry) const {
    const auto fail = [&](std::string_view what) {
      throw WeightsError(text("tensor '", printable(entry.name), "' ", what));
    };
    if (!entry.unreadable.empty()) fail("cannot be read: " + entry.unreadable);
    if (entry.storage >= checkpoint_.storages.size()) fail("has no storage");
    const std::int64_t span = element_span(entry, storage_of(entry).bytes);
    if (is_spread_out(entry, span)) fail("is spread over too much of its storage");
    return static_cast<std::size_t>(span * row_of(entry.dtype).bytes);
  }

  /// What one tensor spans of its storage, and where it is to be.
  struct Part {
    const TensorEntry* entry = nullptr;
    unsigned char* to = nullptr;
    std::size_t size = 0;  ///< Its `span_bytes`.

    std::uint64_t offset() const {
      return static_cast<std::uint64_t>(entry->offset * row_of(entry->dtype).bytes);
    }
  };

  /// Copies parts of one storage, which is read once. A record of an archive is read as a whole,
  /// because its check sum is of all of it: what is copied is what was summed.
  void copy(std::span<const Part> parts) const {
    if (parts.empty()) return;
    const Storage& storage = storage_of(*parts[0].entry);
    if (!storage.record)
      for (const Part& part : parts) file_.read(storage.begin + part.offset(), part.to, part.size);
    else if (storage.record->is_deflated)
      for (const Part& part : parts) unpack(storage, part);
    else if (summed_ && summed_[parts[0].entry->storage])
      for (const Part& part : parts)
        file_.read(data_of(file_, *storage.record) + part.offset(), part.to, part.size);
    else
      copy_stored(*storage.record, parts);
    if (summed_) summed_[parts[0].entry->storage] = true;
    for (const Part& part : parts)
      if (part.entry->dtype == Dtype::boolean)  // which is 0 or 1, whatever is in the file
        std::transform(part.to, part.to + part.size, part.to,
                       [](unsigned char byte) -> unsigned char { return byte != 0; });
  }

  /// Copies what one tensor spans.
  ///
  /// @param size  Its `span_bytes`.
  void copy(const TensorEntry& entry, void* to, std::size_t size) const {
    const Part part{&entry, static_cast<unsigned char*>(to), size};
    if (size > 0) copy(std::span(&part, 1));
  }

 private:
  void unpack(const Storage& storage, const Part& part) const {
    const ZipRecord& record = *storage.record;
    if (part.size != record.bytes)
      throw WeightsError(text(
          "tensor '", printable(part.entry->name), "' is a part of '", storage.name,
          "', which is compressed. Re-save it in Python: torch.save(torch.load(path), new_path)"));
    inflate(file_, data_of(file_, record), record.stored, part.to, part.size);
    check_crc(record, crc32(0, part.to, part.size));
  }

  void copy_stored(const ZipRecord& record, std::span<const Part> parts) const {
    const std::uint64_t begin = data_of(file_, record);
    if (parts.size() == 1 && parts[0].size == record.bytes) {
      file_.read(begin, parts[0].to, parts[0].size);
      return check_crc(record, crc32(0, parts[0].to, parts[0].size));
    }
    std::vector<unsigned char> piece(
        static_cast<std::size_t>(std::min<std::uint64_t>(limits::piece_bytes, record.bytes)));
    std::uint32_t crc = 0;
    for (std::uint64_t at = 0; at < record.bytes; at += piece.size()) {
      piece.resize(
          static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), record.bytes - at)));
      file_.read(begin + at, piece.data(), piece.size());
      crc = crc32(crc, piece.data(), piece.size());
      for (const Part& part : parts) copy_common(piece, at, part);
    }
    check_crc(record, crc);
  }

  /// Copies what `part` has of the bytes that stand at `begin` of its storage.
  static void copy_common(std::span<const unsigned char> bytes, std::uint64_t begin,
                          const Part& part) {
    const std::uint64_t first = std::max(begin, part.offset());
    const std::uint64_t last = std::min(begin + bytes.size(), part.offset() + part.size);
    if (first < last)
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(first - begin), last - first,
                  part.to + (first - part.offset()));
  }

  const Storage& storage_of(const TensorEntry& entry) const {
    return checkpoint_.storages[entry.storage];
  }

  const InputFile& file_;
  const Checkpoint& checkpoint_;
  std::atomic<bool>* summed_;
};

}  // namespace mnv3::weights
