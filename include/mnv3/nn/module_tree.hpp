// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <mnv3/config/layers.hpp>

namespace mnv3 {

/// Text of a module tree in the form in which Python prints an `nn.Module`.
///
/// Source  torch 1.13.1 nn/modules/module.py `Module.__repr__`; conv.py and batchnorm.py
///         `extra_repr`.
class ModuleTree {
 public:
  /// A child without children, `text` being its type and arguments.
  void leaf(std::string_view key, std::string_view text) {
    line(fmt::format("{}{}", labelled(key), text));
  }

  /// Opens a child; what is added until the matching `close` is inside it.
  void open(std::string_view key, std::string_view type) {
    line(fmt::format("{}{}(", labelled(key), type));
    ++depth_;
  }

  void close() {
    --depth_;
    line(")");
  }

  /// The lines so far, without a newline at the end.
  std::string_view text() const {
    return std::string_view(text_).substr(0, text_.empty() ? 0 : text_.size() - 1);
  }

 private:
  static std::string labelled(std::string_view key) {
    return key.empty() ? std::string() : fmt::format("({}): ", key);
  }

  void line(std::string_view content) {
    text_.append(2 * depth_, ' ').append(content).push_back('\n');
  }

  std::string text_;
  std::size_t depth_ = 0;
};

/// A number as Python prints a float: the shortest text that gives it back, with a point.
inline std::string printed_float(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

/// A convolution as PyTorch prints it: what is at its default is left out. One whose padding
/// depends on the size is called as timm calls it.
inline std::string printed_conv2d(const Conv2dNormActivationConfig& c, bool bias) {
  const bool varies = c.padding == Padding::same && c.stride > 1 && c.kernel > 1;
  std::string text =
      fmt::format("Conv2d{0}({1}, {2}, kernel_size=({3}, {3}), stride=({4}, {4})",
                  varies ? "Same" : "", c.in_channels, c.out_channels, c.kernel, c.stride);
  if (const int padding = padding_of(c); padding != 0 && !varies)
    text += fmt::format(", padding=({0}, {0})", padding);
  if (c.dilation != 1) text += fmt::format(", dilation=({0}, {0})", c.dilation);
  if (c.groups != 1) text += fmt::format(", groups={}", c.groups);
  return text + (bias ? ")" : ", bias=False)");
}

}  // namespace mnv3
