// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include <mnv3/engine/kernels/bfloat16.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/views.hpp>

// From the kernels' blocks of channels to what the caller gets.

namespace mnv3::engine {

using Row = float __attribute__((vector_size(16)));
/// One anywhere in memory. The attributes are the name's: Clang ignores `aligned` in a vector type.
using UnalignedRow [[gnu::aligned(4), gnu::may_alias]] = Row;
static_assert(alignof(UnalignedRow) == 4);

/// 4 numbers as floats.
inline Row row_at(const float* from) { return *reinterpret_cast<const UnalignedRow*>(from); }
inline Row row_at(const Bfloat16* from) {
  using AlignedHalves = std::uint16_t __attribute__((vector_size(8)));
  using Halves [[gnu::aligned(2), gnu::may_alias]] = AlignedHalves;
  static_assert(alignof(Halves) == 2);
  using Bits = std::uint32_t __attribute__((vector_size(16)));
  return (Row)(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), Bits) << 16);
}

/// 4 x 4 numbers, transposed. `stride` is between the rows of `to`.
template <class Stored>
inline void transpose(const Stored* from, float* to, std::int64_t stride) {
  const auto row = [&](int i) { return row_at(from + i * block_lanes); };
  const auto low = [](Row x, Row y) { return __builtin_shufflevector(x, y, 0, 4, 1, 5); };
  const auto high = [](Row x, Row y) { return __builtin_shufflevector(x, y, 2, 6, 3, 7); };
  const Row a = low(row(0), row(2));
  const Row b = low(row(1), row(3));
  const Row c = high(row(0), row(2));
  const Row d = high(row(1), row(3));
  *reinterpret_cast<UnalignedRow*>(to) = low(a, b);
  *reinterpret_cast<UnalignedRow*>(to + stride) = high(a, b);
  *reinterpret_cast<UnalignedRow*>(to + 2 * stride) = low(c, d);
  *reinterpret_cast<UnalignedRow*>(to + 3 * stride) = high(c, d);
}

/// Copies one block of `lanes` channels, from channel `first` of `channels` on, to `output`.
template <class Stored>
inline void unblock(const Stored* block, std::int64_t pixels, int first, int lanes, int channels,
                    const Output& output) {
  if (output.channels_last) {
    const Stored* from = block;
    float* to = output.data + first;
    const auto copy = [&](auto whole) {  // a constant number of lanes, where it is a usual one
      for (std::int64_t p = 0; p < pixels; ++p, from += block_lanes, to += channels)
        for (int l = 0; l < whole; l += 4)
          *reinterpret_cast<UnalignedRow*>(to + l) = row_at(from + l);
    };
    if (lanes == block_lanes)
      copy(std::integral_constant<int, block_lanes>{});
    else if (lanes == half_lanes)
      copy(std::integral_constant<int, half_lanes>{});
    else
      for (std::int64_t p = 0; p < pixels; ++p)
        std::copy_n(block + p * block_lanes, lanes, output.data + p * channels + first);
    return;
  }
  float* const to = output.data + first * pixels;
  const std::int64_t whole = lanes % 4 == 0 ? pixels / 4 * 4 : 0;
  // Whole cache lines of four channels at a time: more channels would fall into the same sets.
  for (std::int64_t from = 0; from < whole; from += block_lanes)
    for (int l = 0; l < lanes; l += 4)
      for (std::int64_t p = from; p < std::min(from + block_lanes, whole); p += 4)
        transpose(block + p * block_lanes + l, to + l * pixels + p, pixels);
  for (std::int64_t p = whole; p < pixels; ++p)
    for (int l = 0; l < lanes; ++l) to[l * pixels + p] = block[p * block_lanes + l];
}

}  // namespace mnv3::engine
