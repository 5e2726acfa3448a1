// SPDX-License-Identifier: MIT
#pragma once

// NEON of 64-bit ARM: 32 registers of 4 lanes, which every such processor has.

#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels_of.hpp>
#include <mnv3/engine/kernels/per_set/prerequisites.hpp>
#include <mnv3/engine/kernels/registers/neon.hpp>
#include <mnv3/engine/kernels/target.hpp>

#if MNV3_ENGINE_ARM
MNV3_BEGIN_UNSCHEDULED
#define MNV3_SET neon
namespace mnv3::engine::MNV3_SET {

using Wide = NeonLanes4;
using Half = NeonLanes4;

/// What activations are kept as, and what products multiply at a time.
using Stored = float;
using Factor = float;

using Tiles = NeonTiles;

}  // namespace mnv3::engine::MNV3_SET
#include <mnv3/engine/kernels/per_set/all.hpp>
#undef MNV3_SET
MNV3_END_UNSCHEDULED

namespace mnv3::engine {
template <>
struct Kernels<Isa::neon, float> {
  static constexpr bool are_compiled = true;
  template <architecture Arch, class Taps>
  using Network = neon::Network<Arch, Taps>;
  using Decoding = neon::Decoding;
};
}  // namespace mnv3::engine
#endif
