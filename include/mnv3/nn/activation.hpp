// SPDX-License-Identifier: MIT
#pragma once

#include <torch/types.h>

#include <mnv3/config/activation.hpp>

namespace mnv3 {

/// Applies the activation to `x` itself, which must be a tensor that the caller has just made.
inline torch::Tensor apply_in_place(Activation activation, torch::Tensor x) {
  return activation == Activation::HS ? torch::hardswish_(x) : torch::relu_(x);
}

/// The activation as PyTorch prints it.
constexpr const char* printed_name(Activation activation) {
  return activation == Activation::HS ? "Hardswish()" : "ReLU(inplace=True)";
}

}  // namespace mnv3
