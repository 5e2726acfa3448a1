// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <tuple>

#include <torch/types.h>

// What is worth drawing of a feature map.

namespace examples {

/// The channels that vary most, at most `count`, in the order of the network.
///
/// Shapes  maps: (C, ...)
inline torch::Tensor liveliest_channels(const torch::Tensor& maps, std::int64_t count) {
  const torch::Tensor flat = maps.flatten(1);  // (C, all the rest)
  const torch::Tensor chosen = std::get<1>(flat.std(1).topk(std::min(count, flat.size(0))));
  return std::get<0>(chosen.sort());
}

/// Values moved and scaled to [0, 1]. A few extreme ones must not take the colours from all others,
/// so 1 % at either end is cut off.
inline torch::Tensor in_unit_range(const torch::Tensor& values) {
  const auto low = values.quantile(0.01).item<float>();
  const auto high = values.quantile(0.99).item<float>();
  return ((values - low) / std::max(high - low, 1e-6f)).clamp(0, 1).contiguous();
}

}  // namespace examples
