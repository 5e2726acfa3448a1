// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <ostream>

#include <fmt/format.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <mnv3/nn/print.hpp>

namespace mnv3 {

/// Batch norm whose statistics, weight and bias are buffers: no training and no `train()` changes
/// them.
/// Source  torchvision 0.14.1 ops/misc.py L13-65 (`FrozenBatchNorm2d`).
class FrozenBatchNorm2dImpl final : public torch::nn::Cloneable<FrozenBatchNorm2dImpl> {
 public:
  explicit FrozenBatchNorm2dImpl(std::int64_t num_features, double eps = 1e-5)
      : num_features_(num_features), eps_(eps) {
    reset();
  }

  void reset() override {
    weight = register_buffer("weight", torch::ones(num_features_));
    bias = register_buffer("bias", torch::zeros(num_features_));
    running_mean = register_buffer("running_mean", torch::zeros(num_features_));
    running_var = register_buffer("running_var", torch::ones(num_features_));
  }

  /// Shapes  x and result: (N, num_features, H, W).
  torch::Tensor forward(const torch::Tensor& x) {
    const auto per_channel = [](const torch::Tensor& values) {
      return values.reshape({1, -1, 1, 1});
    };
    const torch::Tensor scale = per_channel(weight) * (per_channel(running_var) + eps_).rsqrt();
    return x * scale + (per_channel(bias) - per_channel(running_mean) * scale);
  }

  void pretty_print(std::ostream& stream) const override {
    stream << fmt::format("FrozenBatchNorm2d({}, eps={})", num_features_, nn::printed_float(eps_));
  }

  torch::Tensor weight, bias, running_mean, running_var;  // (num_features)

 private:
  std::int64_t num_features_;
  double eps_;
};

TORCH_MODULE(FrozenBatchNorm2d);

}  // namespace mnv3
