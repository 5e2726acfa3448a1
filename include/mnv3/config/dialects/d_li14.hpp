// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include <mnv3/config/dialect.hpp>

// d-li14/mobilenetv3.pytorch, whose squeeze-and-excitation is before the activation: none of our
// networks computes that.

namespace mnv3::config {

/// Source  d-li14/mobilenetv3.pytorch mobilenetv3.py: `features.4.conv.5.fc.0.weight`.
constexpr bool is_d_li14(std::string_view name) {
  return name.starts_with("features.") && name.find(".conv.") != name.npos &&
         name.ends_with(".fc.0.weight");
}

inline constexpr Dialect d_li14_dialect{
    .title = "d-li14/mobilenetv3.pytorch",
    .recognises = is_d_li14,
    .refusal =
        "squeeze-and-excitation is before the activation; every network here has it after, "
        "as torchvision and timm do, and would give other numbers. Use weights of "
        "torchvision or timm"};

}  // namespace mnv3::config
