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
  // `contiguous(format)` would leave the weights of 1x1 and depthwise convolutions alone, whose
  // shapes fit both layouts. Their strides are what LibTorch chooses its kernels by.
  const auto laid_out = [format](const torch::Tensor& x) {
    return torch::empty_like(x, x.options(), format).copy_(x);
  };
  for (torch::Tensor& parameter : module.parameters()) {
    if (parameter.dim() != 4) continue;
    parameter.set_data(laid_out(parameter.detach()));
    if (torch::Tensor& grad = parameter.mutable_grad(); grad.defined()) grad = laid_out(grad);
  }
}

}  // namespace mnv3
