// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_X86
#include <immintrin.h>

MNV3_BEGIN_TARGET("avx512f,avx512vl,avx2,fma")
namespace mnv3::engine {

/// 16 lanes in one register of AVX-512.
struct Lanes16 {
  using Register = __m512;
  static constexpr int lanes = 16;
  MNV3_INLINE static Register load(const float* p) { return _mm512_loadu_ps(p); }
  MNV3_INLINE static void store(float* p, Register x) { _mm512_storeu_ps(p, x); }
  MNV3_INLINE static Register broadcast(float x) { return _mm512_set1_ps(x); }
  MNV3_INLINE static Register multiply_add(Register a, Register b, Register c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  MNV3_INLINE static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
  MNV3_INLINE static Register multiply(Register a, Register b) { return _mm512_mul_ps(a, b); }
  MNV3_INLINE static Register subtract(Register a, Register b) { return _mm512_sub_ps(a, b); }
  MNV3_INLINE static Register divide(Register a, Register b) { return _mm512_div_ps(a, b); }
  // Where x is NaN the result is x: the instruction gives its second operand. (The forms without a
  // mask make GCC 12 warn of something uninitialised.)
  MNV3_INLINE static Register at_least(Register limit, Register x) {
    return _mm512_mask_max_ps(x, static_cast<__mmask16>(-1), limit, x);
  }
  MNV3_INLINE static Register at_most(Register limit, Register x) {
    return _mm512_mask_min_ps(x, static_cast<__mmask16>(-1), limit, x);
  }
  /// To the nearest integer, of numbers that an int holds.
  MNV3_INLINE static Register round(Register x) {
    constexpr auto all = static_cast<__mmask16>(-1);
    return _mm512_maskz_cvtepi32_ps(all, _mm512_maskz_cvtps_epi32(all, x));
  }
  /// 2 to the power of integers from -126 to 127.
  MNV3_INLINE static Register power_of_two(Register n) {
    constexpr auto all = static_cast<__mmask16>(-1);
    return _mm512_maskz_scalef_ps(all, _mm512_set1_ps(1.0F), n);
  }
};

/// What fits into the 32 registers.
struct Avx512Tiles {
  /// Pixels in the largest register tile: 14 x 2 sums, 2 weights, 1 input of the 32 registers.
  static constexpr int rows = 14;
  /// The next smaller tile, for what is left over.
  static constexpr int smaller(int tile) {
    return tile == 14 ? 8 : tile == 8 ? 7 : tile == 7 ? 4 : tile / 2;
  }
  /// Registers of `Wide` along the output channels.
  static constexpr int columns = 2;
  /// The same for a tile of one pixel.
  static constexpr int columns_of_one = 4;
  /// Output columns of a depthwise tile.
  static constexpr int depthwise_columns = 14;
};

}  // namespace mnv3::engine
MNV3_END_TARGET
#endif
