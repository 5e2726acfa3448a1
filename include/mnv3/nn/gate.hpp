// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include <torch/types.h>

#include <mnv3/config/conventions.hpp>

namespace mnv3::nn {

/// Applies the gate to `x` itself, which must be a tensor that the caller has just made.
inline torch::Tensor apply_gate_in_place(Gate gate, torch::Tensor x) {
  switch (gate) {
    case Gate::hardsigmoid:
      return torch::hardsigmoid_(x);
    case Gate::hardsigmoid_slope_0_2:
      return x.mul_(0.2).add_(0.5).clamp_(0, 1);
    case Gate::sigmoid:
      return torch::sigmoid_(x);
  }
  TORCH_CHECK(false, "mnv3: ", static_cast<int>(gate), " is no value of Gate");
}

/// The gate as PyTorch prints it.
inline std::string printed_gate(Gate gate) {
  switch (gate) {
    case Gate::hardsigmoid:
      return "Hardsigmoid()";
    case Gate::hardsigmoid_slope_0_2:
      return "Hardsigmoid(slope=0.2)";
    case Gate::sigmoid:
      return "Sigmoid()";
  }
  return {};
}

}  // namespace mnv3::nn
