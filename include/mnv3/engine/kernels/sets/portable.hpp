// SPDX-License-Identifier: MIT
#pragma once

// What the compiler makes of its own vector types: at least 16 registers of 4 lanes.

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels_of.hpp>
#include <mnv3/engine/kernels/per_set/prerequisites.hpp>
#include <mnv3/engine/kernels/registers/lanes4.hpp>
#include <mnv3/engine/kernels/target.hpp>

#define MNV3_SET portable
namespace mnv3::engine::MNV3_SET {

using Wide = Lanes4;
using Half = Lanes4;

/// What activations are kept as, and what products multiply at a time.
using Stored = float;
using Factor = float;

/// What fits into the registers.
struct Tiles {
  /// Pixels in the largest register tile: 2 x 4 sums, 4 weights, 1 input of 16 registers.
  static constexpr int rows = 2;
  /// The next smaller tile, for what is left over.
  static constexpr int smaller(int tile) { return tile / 2; }
  /// Registers of `Wide` along the output channels.
  static constexpr int columns = 4;
  /// The same for a tile of one pixel.
  static constexpr int columns_of_one = 4;
  /// Output columns of a depthwise tile.
  static constexpr int depthwise_columns = 7;
};

}  // namespace mnv3::engine::MNV3_SET
#ifndef MNV3_ALONE
#include <mnv3/engine/kernels/per_set/all.hpp>
#undef MNV3_SET

namespace mnv3::engine {
template <>
struct Kernels<Isa::portable, float> {
  static constexpr bool are_compiled = true;
  template <architecture Arch, class Taps>
  using Network = portable::Network<Arch, Taps>;
  using Decoding = portable::Decoding;
};
}  // namespace mnv3::engine
#endif
