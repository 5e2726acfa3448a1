// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>

namespace mnv3::engine {

/// The upper half of a float: its range, with 8 binary digits. The kernels read and write blocks of
/// them in memory that holds floats at other times.
struct [[gnu::may_alias]] Bfloat16 {
  std::uint16_t bits;

  Bfloat16() = default;
  /// Rounds to nearest, ties to even. NaN stays NaN.
  constexpr explicit Bfloat16(float x) : bits(rounded(std::bit_cast<std::uint32_t>(x))) {}
  constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

 private:
  static constexpr std::uint16_t rounded(std::uint32_t x) {
    const std::uint32_t upper = x >> 16;
    const bool is_nan = (x & 0x7fff'ffff) > 0x7f80'0000;
    return static_cast<std::uint16_t>(is_nan ? upper | 0x40 : (x + 0x7fff + (upper & 1)) >> 16);
  }
};

/// Two neighbouring channels, which are multiplied and added to one sum together.
struct [[gnu::may_alias]] Bfloat16Pair {
  Bfloat16 first;
  Bfloat16 second;
};

/// Input channels that one factor of a product stands for.
template <class Factor>
inline constexpr int channels_in = 1;
template <>
inline constexpr int channels_in<Bfloat16Pair> = 2;

}  // namespace mnv3::engine
