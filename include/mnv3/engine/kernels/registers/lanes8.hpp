// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_X86
#include <immintrin.h>

MNV3_BEGIN_TARGET("avx2,fma")
namespace mnv3::engine {

/// 8 lanes in one register: what AVX2 and FMA have, and AVX-512 for half a block.
struct Lanes8 {
  using Register = __m256;
  static constexpr int lanes = 8;
  MNV3_INLINE static Register load(const float* p) { return _mm256_loadu_ps(p); }
  MNV3_INLINE static void store(float* p, Register x) { _mm256_storeu_ps(p, x); }
  MNV3_INLINE static Register broadcast(float x) { return _mm256_set1_ps(x); }
  MNV3_INLINE static Register multiply_add(Register a, Register b, Register c) {
    return _mm256_fmadd_ps(a, b, c);
  }
  MNV3_INLINE static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
  MNV3_INLINE static Register multiply(Register a, Register b) { return _mm256_mul_ps(a, b); }
  MNV3_INLINE static Register subtract(Register a, Register b) { return _mm256_sub_ps(a, b); }
  MNV3_INLINE static Register divide(Register a, Register b) { return _mm256_div_ps(a, b); }
  // Where x is NaN the result is x: the instruction gives its second operand.
  MNV3_INLINE static Register at_least(Register limit, Register x) {
    return _mm256_max_ps(limit, x);
  }
  MNV3_INLINE static Register at_most(Register limit, Register x) {
    return _mm256_min_ps(limit, x);
  }
  /// To the nearest integer, of numbers that an int holds.
  MNV3_INLINE static Register round(Register x) {
    return _mm256_cvtepi32_ps(_mm256_cvtps_epi32(x));
  }
  /// 2 to the power of integers from -126 to 127.
  MNV3_INLINE static Register power_of_two(Register n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  }
};

}  // namespace mnv3::engine
MNV3_END_TARGET
#endif
