// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mnv3::detail {

/// How many bytes are taken at a time, each with a table of its own: one at a time would take longer
/// than reading the file.
inline constexpr std::size_t crc32_lanes = 16;

inline constexpr auto crc32_tables = [] {
  std::array<std::array<std::uint32_t, 256>, crc32_lanes> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
    tables[0][byte] = crc;
  }
  for (std::size_t lane = 1; lane < crc32_lanes; ++lane)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = tables[lane - 1][byte];
      tables[lane][byte] = crc >> 8 ^ tables[0][crc & 0xff];
    }
  return tables;
}();

/// A zip archive's check sum, of what gave `crc` so far (nothing: 0) followed by these bytes.
inline std::uint32_t crc32(std::uint32_t crc, const void* bytes, std::size_t size) {
  static_assert(std::endian::native == std::endian::little);
  const auto* at = static_cast<const unsigned char*>(bytes);
  crc = ~crc;
  for (; size >= crc32_lanes; at += crc32_lanes, size -= crc32_lanes) {
    std::array<std::uint64_t, 2> words;
    std::memcpy(words.data(), at, crc32_lanes);
    words[0] ^= crc;
    crc = 0;
    std::size_t table = crc32_lanes;
    for (std::uint64_t word : words)
      for (int byte = 0; byte < 8; ++byte, word >>= 8) crc ^= crc32_tables[--table][word & 0xff];
  }
  for (; size > 0; ++at, --size) crc = crc >> 8 ^ crc32_tables[0][(crc ^ *at) & 0xff];
  return ~crc;
}

}  // namespace mnv3::detail
