// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include <torch/types.h>

#include <mnv3/config/conventions.hpp>

namespace mnv3::nn {

/// One value for each channel of each picture.
///
/// Shapes  x: (N, C, H, W). Result: (N, C).
/// Source  torch 1.13.1 nn/modules/pooling.py; timm 1.0.29 layers/adaptive_avgmax_pool.py.
inline torch::Tensor pool(Pooling pooling, const torch::Tensor& x) {
  const auto mean = [&] { return torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1); };
  const auto most = [&] { return x.amax({2, 3}); };
  switch (pooling) {
    case Pooling::avg:
      return mean();
    case Pooling::max:
      return most();
    case Pooling::avgmax:
      return 0.5 * (mean() + most());
  }
  TORCH_CHECK(false, "mnv3: ", static_cast<int>(pooling), " is no value of Pooling");
}

/// The pooling as PyTorch, and timm, print it.
inline std::string printed_pooling(Pooling pooling) {
  switch (pooling) {
    case Pooling::avg:
      return "AdaptiveAvgPool2d(output_size=1)";
    case Pooling::max:
      return "AdaptiveMaxPool2d(output_size=1)";
    case Pooling::avgmax:
      return "AdaptiveAvgMaxPool2d()";
  }
  return {};
}

}  // namespace mnv3::nn
