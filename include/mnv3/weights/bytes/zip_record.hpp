// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <mnv3/weights/bytes/crc32.hpp>
#include <mnv3/weights/bytes/inflate.hpp>
#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/little_endian.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// One file in a zip archive, as the archive's directory describes it.
struct ZipRecord {
  static constexpr std::uint64_t header_bytes = 30;  ///< Of its own header, before its name.

  std::string name;
  std::uint64_t header = 0;  ///< Position of its own header, which its bytes follow.
  std::uint64_t end = 0;     ///< They end here at the latest: the next header, or the directory.
  std::uint64_t stored = 0;  ///< How many bytes the archive has of it.
  std::uint64_t bytes = 0;   ///< How many it has.
  std::uint32_t crc = 0;
  bool is_deflated = false;
};

/// Where in the file the record's bytes begin. Reads its own header, which must agree.
///
/// Errors  WeightsError, without the file's name.
/// Source  PKWARE APPNOTE.TXT 6.3.10, section 4.3.7.
inline std::uint64_t data_of(const InputFile& file, const ZipRecord& record) {
  const std::string bytes = file.read(record.header, ZipRecord::header_bytes + record.name.size(),
                                      ZipRecord::header_bytes + 0xffff);
  LittleEndian numbers(bytes);
  const bool has_signature = numbers.take(4) == "PK\3\4";
  numbers.take(2);  // version
  const auto flags = numbers.number<std::uint16_t>();
  const auto method = numbers.number<std::uint16_t>();
  numbers.take(16);  // time, check sum and sizes: the directory's count
  const auto name_size = numbers.number<std::uint16_t>();
  const auto extra_size = numbers.number<std::uint16_t>();
  if (!has_signature || (flags & 1) != 0 || method != (record.is_deflated ? 8 : 0) ||
      name_size != record.name.size() || numbers.take(name_size) != record.name)
    throw WeightsError(text("record '", printable(record.name),
                            "' is not where the directory says. Copy or download it again"));
  const std::uint64_t begin = record.header + bytes.size() + extra_size;
  if (begin > record.end || record.stored > record.end - begin)
    throw WeightsError(
        text("record '", printable(record.name),
             "' overlaps what follows it: the archive is damaged or was made to deceive"));
  return begin;
}

/// Checks the sum of what was read of a record. 0 is none: torch can be told not to calculate them.
inline void check_crc(const ZipRecord& record, std::uint32_t crc) {
  if (record.crc != 0 && record.crc != crc)
    throw WeightsError(text("record '", printable(record.name), "' is damaged: its check sum is ",
                            hex(crc, 8), ", not ", hex(record.crc, 8),
                            ". Copy or download it again"));
}

/// A record as a whole, unpacked and checked. Its size, at most `at_most`, is checked first.
inline std::string read_record(const InputFile& file, const ZipRecord& record,
                               std::uint64_t at_most) {
  if (record.bytes > at_most)
    throw WeightsError(text("record '", printable(record.name), "' has ", record.bytes,
                            " bytes, more than ", at_most));
  const std::uint64_t begin = data_of(file, record);
  std::string bytes(static_cast<std::size_t>(record.bytes), '\0');
  if (record.is_deflated)
    inflate(file, begin, record.stored, bytes.data(), bytes.size());
  else
    file.read(begin, bytes.data(), bytes.size());
  check_crc(record, crc32(0, bytes.data(), bytes.size()));
  return bytes;
}

}  // namespace mnv3::weights
