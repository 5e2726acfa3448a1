// SPDX-License-Identifier: MIT
#pragma once

// NEON with bfloat16 products: two channels at a time, added to a float. The instruction takes
// subnormal numbers for zero, and rounds the sum of both products to odd.

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels_of.hpp>
#include <mnv3/engine/kernels/per_set/prerequisites.hpp>
#include <mnv3/engine/kernels/registers/neon.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_ARM
#ifdef __clang__
MNV3_BEGIN_TARGET("bf16")
#else
MNV3_BEGIN_TARGET("+bf16")
#endif
MNV3_BEGIN_UNSCHEDULED
#define MNV3_SET neon_bf16
namespace mnv3::engine::MNV3_SET {

/// What activations are kept as, and what products multiply at a time.
using Stored = Bfloat16;
using Factor = Bfloat16Pair;

// Not the intrinsics: GCC has them for the architecture ARMv8.2 alone, and a function of that takes
// no inline function of a program that is compiled for a later one.
struct Wide : NeonLanes4 {
  using Factors = uint32x4_t;
  using NeonLanes4::broadcast, NeonLanes4::load, NeonLanes4::multiply_add,
      NeonLanes4::multiply_add_by_lane, NeonLanes4::store;
  MNV3_INLINE static Register load(const Stored* p) {
    uint16x4_t halves;
    std::memcpy(&halves, p, sizeof(halves));
    return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
  }
  MNV3_INLINE static void store(Stored* p, Register x) {
    uint16x4_t halves;
    asm("bfcvtn %0.4h, %1.4s" : "=w"(halves) : "w"(x));
    std::memcpy(static_cast<void*>(p), &halves, sizeof(halves));
  }
  MNV3_INLINE static Factors load(const Factor* p) {
    Factors pairs;
    std::memcpy(&pairs, p, sizeof(pairs));
    return pairs;
  }
  MNV3_INLINE static Factors broadcast(Factor x) {
    return vdupq_n_u32(std::bit_cast<std::uint32_t>(x));
  }
  MNV3_INLINE static Register multiply_add(Factors a, Factors b, Register c) {
    asm("bfdot %0.4s, %1.8h, %2.8h" : "+w"(c) : "w"(a), "w"(b));
    return c;
  }
  template <int Lane>
  MNV3_INLINE static Register multiply_add_by_lane(Factors a, Factors b, Register c) {
    asm("bfdot %0.4s, %1.8h, %2.2h[%3]" : "+w"(c) : "w"(b), "w"(a), "i"(Lane));
    return c;
  }
};
using Half = Wide;

using Tiles = NeonTiles;

}  // namespace mnv3::engine::MNV3_SET
#include <mnv3/engine/kernels/per_set/all.hpp>
#undef MNV3_SET
MNV3_END_UNSCHEDULED
MNV3_END_TARGET

namespace mnv3::engine {
template <>
struct Kernels<Isa::neon, Bfloat16> {
  static constexpr bool are_compiled = true;
  template <architecture Arch, class Taps>
  using Network = neon_bf16::Network<Arch, Taps>;
};
}  // namespace mnv3::engine
#endif
