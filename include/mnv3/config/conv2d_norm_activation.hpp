// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/axis.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/stride.hpp>

namespace mnv3 {

/// A convolution without bias, its norm and its activation.
struct Conv2dNormActivationConfig {
  int in_channels;
  int out_channels;
  int kernel = 1;
  Stride stride = 1;
  int dilation = 1;
  int groups = 1;
  Activation activation = Activation::none;
  Padding padding = Padding::symmetric;
};

/// Zeros on each side of a symmetric convolution, so that stride 1 keeps the size. No convolution
/// has more on any side.
/// Source  torchvision 0.14.1 ops/misc.py L87.
constexpr int padding_of(const Conv2dNormActivationConfig& c) {
  return (c.kernel - 1) / 2 * c.dilation;
}

/// Output size along one axis, for an input of `size` pixels, whatever the padding.
constexpr std::int64_t output_size(const Conv2dNormActivationConfig& c, std::int64_t size,
                                   Axis axis) {
  return (size + 2 * padding_of(c) - c.dilation * (c.kernel - 1) - 1) / c.stride.along(axis) + 1;
}

/// Zeros along one axis: in front, that is above or on the left, and at the end.
struct SidePadding {
  std::int64_t before;
  std::int64_t after;

  friend constexpr bool operator==(const SidePadding&, const SidePadding&) = default;
};

/// The zeros around `size` pixels along one axis.
/// Source  TensorFlow nn.convolution, "SAME"; timm 1.0.29 layers/padding.py.
constexpr SidePadding side_padding(const Conv2dNormActivationConfig& c, std::int64_t size,
                                   Axis axis) {
  switch (c.padding) {
    case Padding::symmetric:
      return {padding_of(c), padding_of(c)};
    case Padding::same:
      break;
  }
  const std::int64_t seen = (output_size(c, size, axis) - 1) * c.stride.along(axis) +
                            std::int64_t{c.kernel - 1} * c.dilation + 1;
  const std::int64_t total = std::max<std::int64_t>(seen - size, 0);
  return {total / 2, total - total / 2};
}

}  // namespace mnv3
