// SPDX-License-Identifier: MIT
// The kernels for one instruction set, `MNV3_SET`: included once for each. Nothing in here may
// include another header: its functions would be compiled for that instruction set.

// Each uses what is before it.
// clang-format off
#include <mnv3/engine/kernels/per_set/finish.hpp>
#include <mnv3/engine/kernels/per_set/matmul.hpp>
#include <mnv3/engine/kernels/per_set/depthwise.hpp>
#include <mnv3/engine/kernels/per_set/stem.hpp>
#include <mnv3/engine/kernels/per_set/block.hpp>
#include <mnv3/engine/kernels/per_set/network.hpp>
#include <mnv3/engine/kernels/per_set/decoding.hpp>

namespace mnv3::engine::MNV3_SET {
static_assert(register_type<Wide> && register_type<Half> && tile_sizes<Tiles>);
static_assert(half_lanes % Half::lanes == 0 && Wide::lanes <= block_lanes);
}  // namespace mnv3::engine::MNV3_SET
