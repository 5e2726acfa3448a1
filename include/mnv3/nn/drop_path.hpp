// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include <torch/types.h>

namespace mnv3::nn {

/// Drops whole pictures of `x` with probability `p` and makes up for it in the others, by
/// LibTorch's generator: stochastic depth, for the branch beside a residual. 0 returns `x`.
///
/// Shapes  x and result: (N, ...).
/// Units   p in [0, 1).
/// Source  torchvision 0.14.1 ops/stochastic_depth.py L9-37 (`mode="row"`); timm 1.0.29
///         layers/drop.py (`drop_path`).
inline torch::Tensor drop_path(const torch::Tensor& x, double p) {
  if (p == 0) return x;
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[0] = x.size(0);
  return x * torch::empty(shape, x.options()).bernoulli_(1 - p).div_(1 - p);
}

}  // namespace mnv3::nn
