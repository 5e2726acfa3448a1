// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mnv3::weights {

// Why not a library's: without zlib, check sums are to be checked, too; and zlib's takes three times
// as long: a file of 22 MB would cost 6 ms on loading, not 2. 64 MB
// in memory, best of nine, one core of an AMD EPYC (2026-11, g++ 12.2 -O2, Debian 12):
//   this, folding      11.3 GB/s        zlib 1.2.13          3.9 GB/s
//   this, by tables     1.4 GB/s        libdeflate 1.14     16.1 GB/s

// A zip archive's check sum: the remainder of the bytes, as a polynomial whose first coefficient is
// the lowest bit of the first byte, divided by this one.
inline constexpr std::uint32_t crc32_polynomial = 0xedb88320;

/// The remainder times x.
constexpr std::uint32_t crc32_times_x(std::uint32_t crc) {
  return crc >> 1 ^ ((crc & 1) != 0 ? crc32_polynomial : 0);
}

/// How many bytes are taken at a time, each with a table of its own: one at a time would take
/// longer than reading the file.
inline constexpr std::size_t crc32_lanes = 16;

inline constexpr auto crc32_tables = [] {
  std::array<std::array<std::uint32_t, 256>, crc32_lanes> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc32_times_x(crc);
    tables[0][byte] = crc;
  }
  for (std::size_t lane = 1; lane < crc32_lanes; ++lane)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = tables[lane - 1][byte];
      tables[lane][byte] = crc >> 8 ^ tables[0][crc & 0xff];
    }
  return tables;
}();

/// By tables, without the inversions before and after.
inline std::uint32_t crc32_by_tables(std::uint32_t crc, const unsigned char* at, std::size_t size) {
  static_assert(std::endian::native == std::endian::little);
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
  return crc;
}

#if defined(__x86_64__)

/// x to that power, as a factor for the carry-less multiplication of what is in this order of bits.
constexpr long long crc32_power(int exponent) {
  std::uint32_t remainder = std::uint32_t{1} << 31;
  for (int i = 0; i < exponent; ++i) remainder = crc32_times_x(remainder);
  return static_cast<long long>(std::uint64_t{remainder} << 1);
}

/// By carry-less multiplication: 64 bytes are moved over those after them, until 16 are left that
/// have the same remainder as all.
///
/// Source  Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
///         Instruction", Intel 2009.
__attribute__((target("pclmul,sse4.1"))) inline std::uint32_t crc32_by_folding(
    std::uint32_t crc, const unsigned char* at, std::size_t size) {
  constexpr int step = 64, width = 16;
  constexpr long long over_step_low = crc32_power(8 * step + 32);
  constexpr long long over_step_high = crc32_power(8 * step - 32);
  constexpr long long over_width_low = crc32_power(8 * width + 32);
  constexpr long long over_width_high = crc32_power(8 * width - 32);
  if (size < step) return crc32_by_tables(crc, at, size);
  const auto load = [&](std::size_t i) __attribute__((target("pclmul,sse4.1"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + width * i));
  };
  const auto fold =
      [](__m128i ahead, __m128i factors, __m128i behind) __attribute__((target("pclmul,sse4.1"))) {
    const __m128i low = _mm_clmulepi64_si128(ahead, factors, 0x00);
    const __m128i high = _mm_clmulepi64_si128(ahead, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), behind);
  };
  __m128i a = _mm_xor_si128(load(0), _mm_cvtsi32_si128(static_cast<int>(crc)));
  __m128i b = load(1), c = load(2), d = load(3);
  const __m128i over_step = _mm_set_epi64x(over_step_high, over_step_low);
  for (at += step, size -= step; size >= step; at += step, size -= step) {
    a = fold(a, over_step, load(0));
    b = fold(b, over_step, load(1));
    c = fold(c, over_step, load(2));
    d = fold(d, over_step, load(3));
  }
  const __m128i over_width = _mm_set_epi64x(over_width_high, over_width_low);
  a = fold(fold(fold(a, over_width, b), over_width, c), over_width, d);
  std::array<unsigned char, width> rest;
  std::memcpy(rest.data(), &a, width);
  return crc32_by_tables(crc32_by_tables(0, rest.data(), width), at, size);
}

#endif

/// The check sum of what gave `crc` so far (nothing: 0) followed by these bytes.
inline std::uint32_t crc32(std::uint32_t crc, const void* bytes, std::size_t size) {
  const auto* const at = static_cast<const unsigned char*>(bytes);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
    return ~crc32_by_folding(~crc, at, size);
#endif
  return ~crc32_by_tables(~crc, at, size);
}

}  // namespace mnv3::weights
