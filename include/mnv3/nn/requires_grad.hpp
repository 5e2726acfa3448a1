// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include <torch/nn/module.h>

namespace mnv3::nn {

/// Lets all parameters of `module` learn, or none. Those that do not lose the gradient they have:
/// LibTorch's optimizers take a step, and decay, wherever there is one.
inline void set_requires_grad(torch::nn::Module& module, bool on) {
  for (torch::Tensor& parameter : module.parameters()) {
    parameter.set_requires_grad(on);
    if (!on) parameter.mutable_grad() = torch::Tensor();
  }
}

/// Gives `to`, a clone of `from`, the choice of parameters that learn, which LibTorch's own `clone`
/// forgets.
inline void copy_requires_grad(const torch::nn::Module& from, torch::nn::Module& to) {
  const auto theirs = from.parameters();
  const auto ours = to.parameters();
  for (std::size_t i = 0; i < ours.size() && i < theirs.size(); ++i)
    ours[i].set_requires_grad(theirs[i].requires_grad());
}

}  // namespace mnv3::nn
