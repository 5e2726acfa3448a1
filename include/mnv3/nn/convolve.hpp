// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include <torch/types.h>

#include <mnv3/config/axis.hpp>
#include <mnv3/config/conv2d_norm_activation.hpp>

namespace mnv3::nn {

/// The convolution of a layer alone, with its padding.
///
/// Shapes  x: (N, in_channels, H, W). Result: (N, out_channels, H/stride, W/stride), rounded up.
/// Source  timm 1.0.29 layers/padding.py for zeros that differ in number from side to side.
inline torch::Tensor convolve(const Conv2dNormActivationConfig& c, const torch::Tensor& x,
                              const torch::Tensor& weight, const torch::Tensor& bias = {}) {
  const SidePadding rows = side_padding(c, x.size(2), Axis::height);
  const SidePadding columns = side_padding(c, x.size(3), Axis::width);
  std::array<std::int64_t, 2> padding{rows.before, columns.before};
  torch::Tensor padded = x;
  if (rows.before != rows.after || columns.before != columns.after) {
    padded = torch::constant_pad_nd(x, {columns.before, columns.after, rows.before, rows.after});
    padding = {0, 0};
  }
  // For an empty batch LibTorch 1.13 fails where the weight is laid out as channels_last.
  const torch::Tensor laid_out = x.size(0) > 0 ? weight : weight.contiguous();
  const std::array<std::int64_t, 2> stride{c.stride.height, c.stride.width};
  return torch::conv2d(padded, laid_out, bias, stride, padding, c.dilation, c.groups);
}

}  // namespace mnv3::nn
