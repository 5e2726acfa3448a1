// SPDX-License-Identifier: MIT
#pragma once

#include <torch/nn/module.h>

namespace mnv3 {

/// Lays out the convolution weights of `module` in `format`, as Python's
/// `module.to(memory_format=...)`. LibTorch's `Module::to` has no such overload.
///
/// Values, shapes and optimizers stay valid; gradients are laid out alike.
inline void to_memory_format(torch::nn::Module& module, torch::MemoryFormat format) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& parameter : module.parameters()) {
    if (parameter.dim() != 4) continue;
    parameter.set_data(parameter.detach().contiguous(format));
    if (torch::Tensor& grad = parameter.mutable_grad(); grad.defined())
      grad = grad.contiguous(format);
  }
}

}  // namespace mnv3
