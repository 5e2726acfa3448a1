// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/channel_values.hpp>
#include <mnv3/config/input.hpp>
#include <mnv3/detail/torch_compat.hpp>

// What a network is given, before its first layer: the same for modules and for what is deployed.

namespace mnv3::nn {

/// Refuses what no MobileNetV3 can take, with what was given and what is allowed.
inline void check_input(const torch::Tensor& x, int channels) {
  TORCH_CHECK(x.defined(), "mnv3: the network was given an undefined tensor");
  TORCH_CHECK(x.is_floating_point(), "mnv3: the network takes floating-point tensors, but was ",
              "given ", x.scalar_type(),
              "; convert with x.to(torch::kFloat) and scale to what the network ",
              "was trained on");
  const bool fits =
      (x.dim() == 4 || x.dim() == 5) && x.size(-3) == channels && x.size(-2) > 0 && x.size(-1) > 0;
  TORCH_CHECK(fits, "mnv3: the network takes (N, ", channels, ", H, W) or (B, T, ", channels,
              ", H, W) with H and W at least 1, but was given ", x.sizes());
}

/// Whether autocast converts what operators on this device are given.
inline bool is_autocast(const torch::Device& device) {
  return mnv3::detail::is_autocast_enabled(device.is_cpu() ? torch::kCPU : torch::kCUDA);
}

/// Refuses a picture of another dtype or device than the network's.
inline void check_same_type(const torch::Tensor& x, const torch::Tensor& parameter) {
  const bool same_type = x.scalar_type() == parameter.scalar_type() || is_autocast(x.device());
  TORCH_CHECK(same_type && x.device() == parameter.device(), "mnv3: the network's parameters are ",
              parameter.scalar_type(), " on ", parameter.device(), ", but it was given ",
              x.scalar_type(), " on ", x.device(),
              "; convert the picture with x.to(...) or the network with net->to(...)");
}

/// One value for each channel, as (C, 1, 1).
inline torch::Tensor per_channel(const ChannelValues& values, const torch::TensorOptions& options) {
  return torch::tensor(std::vector<double>(values.begin(), values.end()), torch::kDouble)
      .to(options)
      .view({-1, 1, 1});
}

/// Shapes  x: (N, C, H, W).
inline torch::Tensor normalize(const torch::Tensor& x, const Input& input) {
  return (x - per_channel(input.mean, x.options())).div_(per_channel(input.std, x.options()));
}

/// Splits the first dimension of `x` into the first two of `sequence`.
inline torch::Tensor unflatten_sequence(const torch::Tensor& x, const torch::Tensor& sequence) {
  std::vector<std::int64_t> sizes{sequence.size(0), sequence.size(1)};
  sizes.insert(sizes.end(), x.sizes().begin() + 1, x.sizes().end());
  return x.view(sizes);
}

}  // namespace mnv3::nn
