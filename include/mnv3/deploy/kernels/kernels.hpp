// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/flow.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/deploy/kernels/bfloat16.hpp>
#include <mnv3/deploy/kernels/classifier_job.hpp>
#include <mnv3/deploy/kernels/finish.hpp>
#include <mnv3/deploy/kernels/isa.hpp>
#include <mnv3/deploy/kernels/layout.hpp>
#include <mnv3/deploy/kernels/network_layout.hpp>
#include <mnv3/deploy/kernels/packed.hpp>
#include <mnv3/deploy/kernels/picture_job.hpp>
#include <mnv3/deploy/kernels/plan.hpp>
#include <mnv3/deploy/kernels/pooling.hpp>
#include <mnv3/deploy/kernels/split.hpp>
#include <mnv3/deploy/kernels/threads.hpp>
#include <mnv3/deploy/kernels/unblock.hpp>
#include <mnv3/deploy/kernels/views.hpp>

#if MNV3_KERNELS_X86
#include <immintrin.h>
#endif

// The kernels, compiled once for each instruction set, whatever flags the program is built with:
// templates keep the target of the place where they are written.
//
// Why intrinsics on x86 (simd/*.inc), measured for all of Large at 224 x 224 with g++ 12 -O2 on a
// Zen 4, best of three sittings in one thread: the compiler's vector types took 1.01 to 1.03 times
// as long with AVX-512 and 1.02 to 1.03 times with AVX2, and leave it to the flags whether a * b +
// c is fused. std::experimental::simd takes its width from the flags of the whole program.

#define MNV3_INLINE [[gnu::always_inline]] inline
#define MNV3_INLINE_LAMBDA __attribute__((always_inline))
/// Hides where a pointer comes from: GCC would otherwise keep one address for each unrolled access,
/// and spill them.
#define MNV3_OPAQUE(pointer) asm("" : "+r"(pointer))

namespace mnv3::kernels::portable {
#include <mnv3/deploy/kernels/simd/portable.inc>
// After it, what uses it.
#include <mnv3/deploy/kernels/all.inc>
}  // namespace mnv3::kernels::portable

#if MNV3_KERNELS_X86
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace mnv3::kernels::avx2 {
#include <mnv3/deploy/kernels/simd/avx2.inc>
// After it, what uses it.
#include <mnv3/deploy/kernels/all.inc>
}  // namespace mnv3::kernels::avx2
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx2,fma")
#endif
namespace mnv3::kernels::avx512 {
#include <mnv3/deploy/kernels/simd/avx512.inc>
// After it, what uses it.
#include <mnv3/deploy/kernels/all.inc>
}  // namespace mnv3::kernels::avx512
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push( \
    __attribute__((target("avx512bf16,avx512bw,avx512f,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512bf16,avx512bw,avx512f,avx512vl,avx2,fma")
#endif
namespace mnv3::kernels::avx512_bf16 {
#include <mnv3/deploy/kernels/simd/avx512_bf16.inc>
// After it, what uses it.
#include <mnv3/deploy/kernels/all.inc>
}  // namespace mnv3::kernels::avx512_bf16
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#undef MNV3_INLINE
#undef MNV3_INLINE_LAMBDA
#undef MNV3_OPAQUE

namespace mnv3::kernels {

/// Calls `use.operator()<Network>()` with the kernels of an instruction set; for bfloat16, which
/// only programs that use it compile, with those of its own, where there are some.
template <architecture Arch, class Taps, class Stored, class Use>
void with_kernels([[maybe_unused]] Isa isa, [[maybe_unused]] const Use& use) {
  if constexpr (std::is_same_v<Stored, Bfloat16>) {
#if MNV3_KERNELS_X86
    use.template operator()<avx512_bf16::Network<Arch, Taps>>();
#endif
  } else {
#if MNV3_KERNELS_X86
    if (isa == Isa::avx512) return use.template operator()<avx512::Network<Arch, Taps>>();
    if (isa == Isa::avx2) return use.template operator()<avx2::Network<Arch, Taps>>();
#endif
    use.template operator()<portable::Network<Arch, Taps>>();
  }
}

}  // namespace mnv3::kernels
