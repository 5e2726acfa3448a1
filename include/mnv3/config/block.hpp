// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/activation.hpp>
#include <mnv3/config/channels.hpp>
#include <mnv3/config/stride.hpp>

namespace mnv3 {

/// One row of Table 1 or 2 of the MobileNetV3 paper: one bottleneck block.
///
/// The order of the fields up to `width_mult` is that of torchvision's `InvertedResidualConfig`, so
/// that rows paste from Python; our own fields follow. Structural, so that a row can be a template
/// argument.
struct InvertedResidualConfig {
  int input_channels;
  int kernel;             ///< Side of the depthwise kernel, in pixels. Odd.
  int expanded_channels;  ///< Width inside the block. Equal to `input_channels`: no expansion.
  int out_channels;
  bool use_se;  ///< Squeeze-and-excitation after the depthwise convolution.
  Activation activation;
  Stride stride;  ///< 1 or 2 along each axis, as configured: see `depthwise_stride`.
  int dilation = 1;
  /// What the channels of this row are multiplied by, and rounded to multiples of 8 as torchvision
  /// does. 1 leaves them as they are written (torchvision would round even then).
  double width_mult = 1.0;
  bool residual = true;         ///< False: none even where one fits, timm's `noskip`.
  bool expands_always = false;  ///< A 1x1 convolution in front even where it does not widen.
  Activation projection_activation = Activation::none;  ///< After the projection: timm's `pw_act`.

  friend constexpr bool operator==(const InvertedResidualConfig&,
                                   const InvertedResidualConfig&) = default;
};

/// Multiplies a channel count and rounds it by torchvision's rule.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L47-49 (`adjust_channels`).
constexpr int width_mult(int channels, double width) { return make_divisible(channels * width); }

/// The row with its own `width_mult` carried out. One that is no factor stays, to be refused.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L38-45.
constexpr InvertedResidualConfig adjusted(InvertedResidualConfig row) {
  if (row.width_mult == 1.0 || !(row.width_mult > 0)) return row;
  for (int* channels : {&row.input_channels, &row.expanded_channels, &row.out_channels})
    *channels = width_mult(*channels, row.width_mult);
  row.width_mult = 1.0;
  return row;
}

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
constexpr Stride depthwise_stride(const InvertedResidualConfig& row) {
  return row.dilation > 1 ? Stride(1) : row.stride;
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
