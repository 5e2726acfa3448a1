// SPDX-License-Identifier: MIT
#pragma once

// AVX2 and FMA: 16 registers of 8 lanes.

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels_of.hpp>
#include <mnv3/engine/kernels/per_set/prerequisites.hpp>
#include <mnv3/engine/kernels/registers/lanes8.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_X86
MNV3_BEGIN_TARGET("avx2,fma")
#define MNV3_SET avx2
namespace mnv3::engine::MNV3_SET {

using Wide = Lanes8;
using Half = Lanes8;

/// What activations are kept as, and what products multiply at a time.
using Stored = float;
using Factor = float;

/// What fits into the registers.
struct Tiles {
  /// Pixels in the largest register tile: 6 x 2 sums, 2 weights, 1 input of the 16 registers.
  static constexpr int rows = 6;
  /// The next smaller tile, for what is left over.
  static constexpr int smaller(int tile) { return tile == 6 ? 4 : tile / 2; }
  /// Registers of `Wide` along the output channels.
  static constexpr int columns = 2;
  /// The same for a tile of one pixel.
  static constexpr int columns_of_one = 4;
  /// Output columns of a depthwise tile.
  static constexpr int depthwise_columns = 7;
};

}  // namespace mnv3::engine::MNV3_SET
#include <mnv3/engine/kernels/per_set/all.hpp>
#undef MNV3_SET
MNV3_END_TARGET

namespace mnv3::engine {
template <>
struct Kernels<Isa::avx2, float> {
  static constexpr bool are_compiled = true;
  template <architecture Arch, class Taps>
  using Network = avx2::Network<Arch, Taps>;
  using Decoding = avx2::Decoding;
};
}  // namespace mnv3::engine
#endif
