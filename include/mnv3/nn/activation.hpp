// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include <torch/types.h>

#include <mnv3/config/activation.hpp>

namespace mnv3::nn {

/// Applies the activation to `x` itself, which must be a tensor that the caller has just made.
inline torch::Tensor apply_in_place(Activation activation, torch::Tensor x) {
  switch (activation) {
    case Activation::RE:
      return torch::relu_(x);
    case Activation::HS:
      return torch::hardswish_(x);
    case Activation::RE6:
      return torch::hardtanh_(x, 0, 6);
    case Activation::SiLU:
      return torch::silu_(x);
    case Activation::none:
      return x;
  }
  TORCH_CHECK(false, "mnv3: ", static_cast<int>(activation), " is no value of Activation");
}

/// The activation as PyTorch prints it. Those that torchvision makes with `inplace=True` say so.
/// Source  torch 1.13.1 nn/modules/activation.py.
inline std::string printed_activation(Activation activation, bool in_place) {
  const std::string arguments = in_place ? "(inplace=True)" : "()";
  switch (activation) {
    case Activation::RE:
      return "ReLU" + arguments;
    case Activation::HS:
      return "Hardswish()";
    case Activation::RE6:
      return "ReLU6" + arguments;
    case Activation::SiLU:
      return "SiLU" + arguments;
    case Activation::none:
      return "Identity()";
  }
  return {};
}

}  // namespace mnv3::nn
