// SPDX-License-Identifier: MIT
#pragma once

// AVX-512 with bfloat16 products: two channels at a time, added to a float. The instructions take
// subnormal numbers for zero.

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels_of.hpp>
#include <mnv3/engine/kernels/per_set/prerequisites.hpp>
#include <mnv3/engine/kernels/registers/lanes16.hpp>
#include <mnv3/engine/kernels/registers/lanes8.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_X86
MNV3_BEGIN_TARGET("avx512bf16,avx512bw,avx512f,avx512vl,avx2,fma")
#define MNV3_SET avx512_bf16
namespace mnv3::engine::MNV3_SET {

/// What activations are kept as, and what products multiply at a time.
using Stored = Bfloat16;
using Factor = Bfloat16Pair;

struct Wide : Lanes16 {
  using Factors = __m512bh;
  using Lanes16::broadcast, Lanes16::load, Lanes16::multiply_add, Lanes16::store;
  MNV3_INLINE static Register load(const Stored* p) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    // (The forms without a mask make GCC 12 warn of something uninitialised.)
    constexpr auto all = static_cast<__mmask16>(-1);
    return _mm512_castsi512_ps(
        _mm512_maskz_slli_epi32(all, _mm512_maskz_cvtepu16_epi32(all, halves), 16));
  }
  MNV3_INLINE static void store(Stored* p, Register x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(x));
  }
  MNV3_INLINE static Factors load(const Factor* p) { return (Factors)_mm512_loadu_si512(p); }
  MNV3_INLINE static Factors broadcast(Factor x) {
    return (Factors)_mm512_set1_epi32(std::bit_cast<int>(x));
  }
  MNV3_INLINE static Register multiply_add(Factors a, Factors b, Register c) {
    return _mm512_dpbf16_ps(c, a, b);
  }
};

struct Half : Lanes8 {
  using Factors = __m256bh;
  using Lanes8::broadcast, Lanes8::load, Lanes8::multiply_add, Lanes8::store;
  MNV3_INLINE static Register load(const Stored* p) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  MNV3_INLINE static void store(Stored* p, Register x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), (__m128i)_mm256_cvtneps_pbh(x));
  }
  MNV3_INLINE static Factors load(const Factor* p) {
    return (Factors)_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  MNV3_INLINE static Factors broadcast(Factor x) {
    return (Factors)_mm256_set1_epi32(std::bit_cast<int>(x));
  }
  MNV3_INLINE static Register multiply_add(Factors a, Factors b, Register c) {
    return _mm256_dpbf16_ps(c, a, b);
  }
};

using Tiles = Avx512Tiles;

}  // namespace mnv3::engine::MNV3_SET
#include <mnv3/engine/kernels/per_set/all.hpp>
#undef MNV3_SET
MNV3_END_TARGET

namespace mnv3::engine {
template <>
struct Kernels<Isa::avx512, Bfloat16> {
  static constexpr bool are_compiled = true;
  template <architecture Arch, class Taps>
  using Network = avx512_bf16::Network<Arch, Taps>;
};
}  // namespace mnv3::engine
#endif
