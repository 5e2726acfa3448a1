// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_ARM
#include <arm_neon.h>

namespace mnv3::engine {

/// 4 lanes in one register of NEON.
struct NeonLanes4 {
  using Register = float32x4_t;
  static constexpr int lanes = 4;
  MNV3_INLINE static Register load(const float* p) { return vld1q_f32(p); }
  MNV3_INLINE static void store(float* p, Register x) { vst1q_f32(p, x); }
  MNV3_INLINE static Register broadcast(float x) { return vdupq_n_f32(x); }
  MNV3_INLINE static Register multiply_add(Register a, Register b, Register c) {
    return vfmaq_f32(c, a, b);
  }
  /// The same with one lane of `a` for all.
  template <int Lane>
  MNV3_INLINE static Register multiply_add_by_lane(Register a, Register b, Register c) {
    return vfmaq_laneq_f32(c, b, a, Lane);
  }
  MNV3_INLINE static Register add(Register a, Register b) { return vaddq_f32(a, b); }
  MNV3_INLINE static Register multiply(Register a, Register b) { return vmulq_f32(a, b); }
  MNV3_INLINE static Register subtract(Register a, Register b) { return vsubq_f32(a, b); }
  MNV3_INLINE static Register divide(Register a, Register b) { return vdivq_f32(a, b); }
  // Where x is NaN the result is x: the comparison is false. So it is where x is -0 and the limit
  // 0, as on x86; FMAX would give 0.
  MNV3_INLINE static Register at_least(Register limit, Register x) {
    return vbslq_f32(vcltq_f32(x, limit), limit, x);
  }
  MNV3_INLINE static Register at_most(Register limit, Register x) {
    return vbslq_f32(vcgtq_f32(x, limit), limit, x);
  }
  /// To the nearest integer, of numbers that an int holds.
  MNV3_INLINE static Register round(Register x) { return vrndnq_f32(x); }
  /// 2 to the power of integers from -126 to 127.
  MNV3_INLINE static Register power_of_two(Register n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
  }
};

/// What fits into the 32 registers.
struct NeonTiles {
  /// Pixels in the largest register tile: 6 x 4 sums, 6 inputs, 2 weights of the 32 registers.
  static constexpr int rows = 6;
  /// The next smaller tile, for what is left over.
  static constexpr int smaller(int tile) { return tile == 6 ? 4 : tile / 2; }
  /// Registers of `Wide` along the output channels.
  static constexpr int columns = 4;
  /// The same for a tile of one pixel.
  static constexpr int columns_of_one = 8;
  /// Output columns of a depthwise tile.
  static constexpr int depthwise_columns = 14;
};

}  // namespace mnv3::engine
#endif
