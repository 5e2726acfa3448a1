// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/engine/kernels/target.hpp>

namespace mnv3::engine {

/// 4 lanes in one of the compiler's own vector types, which every machine has.
struct Lanes4 {
  using Register = float __attribute__((vector_size(16)));
  // The attributes are the name's: Clang ignores `aligned` in a vector type.
  using Unaligned [[gnu::aligned(4), gnu::may_alias]] = Register;
  static_assert(alignof(Unaligned) == 4);
  using Integers = int __attribute__((vector_size(16)));
  static constexpr int lanes = 4;
  MNV3_INLINE static Register load(const float* p) {
    return *reinterpret_cast<const Unaligned*>(p);
  }
  MNV3_INLINE static void store(float* p, Register x) { *reinterpret_cast<Unaligned*>(p) = x; }
  MNV3_INLINE static Register broadcast(float x) { return Register{x, x, x, x}; }
  MNV3_INLINE static Register multiply_add(Register a, Register b, Register c) { return a * b + c; }
  MNV3_INLINE static Register add(Register a, Register b) { return a + b; }
  MNV3_INLINE static Register multiply(Register a, Register b) { return a * b; }
  MNV3_INLINE static Register subtract(Register a, Register b) { return a - b; }
  MNV3_INLINE static Register divide(Register a, Register b) { return a / b; }
  // Where x is NaN the result is x: the comparison is false.
  MNV3_INLINE static Register at_least(Register limit, Register x) { return x < limit ? limit : x; }
  MNV3_INLINE static Register at_most(Register limit, Register x) { return x > limit ? limit : x; }
  /// To the nearest integer, of numbers that an int holds.
  MNV3_INLINE static Register round(Register x) {
    const Register half = broadcast(0.5F);
    return __builtin_convertvector(
        __builtin_convertvector(x < 0.0F ? x - half : x + half, Integers), Register);
  }
  /// 2 to the power of integers from -126 to 127.
  MNV3_INLINE static Register power_of_two(Register n) {
    return (Register)((__builtin_convertvector(n, Integers) + 127) << 23);
  }
};

}  // namespace mnv3::engine
