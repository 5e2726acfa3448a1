// SPDX-License-Identifier: MIT
#pragma once

// AVX-512: 32 registers of 16 lanes.

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels_of.hpp>
#include <mnv3/engine/kernels/per_set/prerequisites.hpp>
#include <mnv3/engine/kernels/registers/lanes16.hpp>
#include <mnv3/engine/kernels/registers/lanes8.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_X86
MNV3_BEGIN_TARGET("avx512f,avx512vl,avx2,fma")
#define MNV3_SET avx512
namespace mnv3::engine::MNV3_SET {

using Wide = Lanes16;
using Half = Lanes8;

/// What activations are kept as, and what products multiply at a time.
using Stored = float;
using Factor = float;

using Tiles = Avx512Tiles;

}  // namespace mnv3::engine::MNV3_SET
#include <mnv3/engine/kernels/per_set/all.hpp>
#undef MNV3_SET
MNV3_END_TARGET

namespace mnv3::engine {
template <>
struct Kernels<Isa::avx512, float> {
  static constexpr bool are_compiled = true;
  template <architecture Arch, class Taps>
  using Network = avx512::Network<Arch, Taps>;
  using Decoding = avx512::Decoding;
};
}  // namespace mnv3::engine
#endif
