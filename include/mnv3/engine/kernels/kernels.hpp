// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include <mnv3/config/arch.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels_of.hpp>
#include <mnv3/engine/kernels/sets/avx2.hpp>
#include <mnv3/engine/kernels/sets/avx512.hpp>
#include <mnv3/engine/kernels/sets/avx512_bf16.hpp>
#include <mnv3/engine/kernels/sets/neon.hpp>
#include <mnv3/engine/kernels/sets/neon_bf16.hpp>
#include <mnv3/engine/kernels/sets/portable.hpp>

// The kernels, compiled once for each instruction set, whatever flags the program is built with.
//
// Why intrinsics on x86 (registers/), measured for all of Large at 224 x 224 with g++ 12 -O2 on a
// Zen 4, best of three sittings in one thread: the compiler's vector types took 1.01 to 1.03 times
// as long with AVX-512 and 1.02 to 1.03 times with AVX2, and leave it to the flags whether a * b +
// c is fused. std::experimental::simd takes its width from the flags of the whole program.

namespace mnv3::engine {

/// Calls `use.operator()<Kernels>()` with the kernels of an instruction set for activations that
/// are kept as `Stored`.
///
/// Errors  std::logic_error if none are compiled for it: `is_available` is false then.
template <class Stored, class Use>
void with_kernels_of(Isa isa, const Use& use) {
  const auto with = [&]<std::size_t I>() {
    constexpr Isa candidate = all_isas[I];
    if constexpr (Kernels<candidate, Stored>::are_compiled) {
      if (isa != candidate) return false;
      use.template operator()<Kernels<candidate, Stored>>();
      return true;
    } else {
      return false;
    }
  };
  const bool found = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return (with.template operator()<I>() || ...);
  }
  (std::make_index_sequence<all_isas.size()>{});
  if (!found)
    throw std::logic_error("mnv3: no kernels of this precision are compiled for " +
                           std::string(name_of(isa)));
}

/// Calls `use.operator()<Network>()` with those of a network.
///
/// Errors  As above.
template <architecture Arch, class Taps, class Stored, class Use>
void with_kernels(Isa isa, const Use& use) {
  with_kernels_of<Stored>(isa, [&]<class Set> {
    use.template operator()<typename Set::template Network<Arch, Taps>>();
  });
}

}  // namespace mnv3::engine
