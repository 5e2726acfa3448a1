// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include <fmt/format.h>

#include <mnv3/config/conv2d_norm_activation.hpp>

// Parts of a module tree as Python prints them. LibTorch's own `operator<<` puts the tree together
// in the same form as Python, if every part of it is a child module that prints itself so.

namespace mnv3::nn {

/// A number as Python prints a float: the shortest text that gives it back, with a point.
inline std::string printed_float(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

/// A convolution: what is at its default is left out. One whose padding depends on the size is
/// called as timm calls it.
/// Source  torch 1.13.1 nn/modules/conv.py `extra_repr`; timm 1.0.29 layers/conv2d_same.py.
inline std::string printed_conv2d(const Conv2dNormActivationConfig& c, bool bias) {
  const bool varies = c.padding == Padding::same && c.stride != 1 && c.kernel > 1;
  std::string text = fmt::format("Conv2d{0}({1}, {2}, kernel_size=({3}, {3}), stride=({4}, {5})",
                                 varies ? "Same" : "", c.in_channels, c.out_channels, c.kernel,
                                 c.stride.height, c.stride.width);
  if (const int padding = padding_of(c); padding != 0 && !varies)
    text += fmt::format(", padding=({0}, {0})", padding);
  if (c.dilation != 1) text += fmt::format(", dilation=({0}, {0})", c.dilation);
  if (c.groups != 1) text += fmt::format(", groups={}", c.groups);
  return text + (bias ? ")" : ", bias=False)");
}

}  // namespace mnv3::nn
