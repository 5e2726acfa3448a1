// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/activation.hpp>
#include <mnv3/config/channels.hpp>

namespace mnv3 {

/// One row of Table 1 or 2 of the MobileNetV3 paper: one bottleneck block.
///
/// The order of the fields is that of torchvision's `InvertedResidualConfig`, so that rows paste
/// from Python. Structural, so that a row can be a template argument.
struct InvertedResidualConfig {
  int input_channels;
  int kernel;             ///< Side of the depthwise kernel, in pixels. Odd.
  int expanded_channels;  ///< Width inside the block. Equal to `input_channels`: no expansion.
  int out_channels;
  bool use_se;  ///< Squeeze-and-excitation after the depthwise convolution.
  Activation activation;
  int stride;  ///< 1 or 2, as configured: see `depthwise_stride`.
  int dilation = 1;
  bool residual = true;         ///< False: none even where one fits, timm's `noskip`.
  bool expands_always = false;  ///< A 1x1 convolution in front even where it does not widen.

  friend constexpr bool operator==(const InvertedResidualConfig&,
                                   const InvertedResidualConfig&) = default;
};

/// Whether the block begins with a 1x1 convolution that widens its input.
constexpr bool has_expansion(const InvertedResidualConfig& row) {
  return row.expands_always || row.expanded_channels != row.input_channels;
}

/// Whether the block adds its input to its result. The *configured* stride decides: a dilated row
/// of stride 2 runs at stride 1 and still has no residual.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L64.
constexpr bool has_residual(const InvertedResidualConfig& row) {
  return row.residual && row.stride == 1 && row.input_channels == row.out_channels;
}

/// The stride that the depthwise convolution really runs at: dilation replaces it.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L82.
constexpr int depthwise_stride(const InvertedResidualConfig& row) {
  return row.dilation > 1 ? 1 : row.stride;
}

/// Width of the squeeze-and-excitation bottleneck, a multiple of `divisor`. The division is an
/// integer one and comes first; timm's is not, which is the same for multiples of 4.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L96.
constexpr int squeeze_channels(const InvertedResidualConfig& row, int divisor = 8) {
  return make_divisible(row.expanded_channels / 4, divisor);
}

/// Positions of a block's children, which are also their names in the state dict. -1: absent.
struct BlockSlots {
  int expansion = -1;
  int depthwise = -1;
  int squeeze = -1;
  int projection = -1;
};

constexpr BlockSlots slots_of(const InvertedResidualConfig& row) {
  BlockSlots slots;
  int next = 0;
  if (has_expansion(row)) slots.expansion = next++;
  slots.depthwise = next++;
  if (row.use_se) slots.squeeze = next++;
  slots.projection = next;
  return slots;
}

}  // namespace mnv3
