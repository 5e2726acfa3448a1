// SPDX-License-Identifier: MIT
#pragma once

#include <torch/nn/init.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

namespace mnv3 {

/// Initialises one Linear as torchvision does.
inline void initialize_linear(torch::nn::LinearImpl& linear) {
  const torch::NoGradGuard no_grad;
  torch::nn::init::normal_(linear.weight, 0, 0.01);
  if (linear.bias.defined()) torch::nn::init::zeros_(linear.bias);
}

/// Initialises every layer of `module` as torchvision does, from LibTorch's random generator and in
/// torchvision's order: with the same seed a whole classifier gets the same weights.
///
/// Source  torchvision 0.14.1 models/mobilenetv3.py L197-207.
inline void initialize_weights(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* conv = child->as<torch::nn::Conv2d>()) {
      torch::nn::init::kaiming_normal_(conv->weight, 0, torch::kFanOut);
      if (conv->bias.defined()) torch::nn::init::zeros_(conv->bias);
    } else if (auto* norm = child->as<torch::nn::BatchNorm2d>()) {
      torch::nn::init::ones_(norm->weight);
      torch::nn::init::zeros_(norm->bias);
    } else if (auto* group_norm = child->as<torch::nn::GroupNorm>()) {
      torch::nn::init::ones_(group_norm->weight);
      torch::nn::init::zeros_(group_norm->bias);
    } else if (auto* linear = child->as<torch::nn::Linear>()) {
      initialize_linear(*linear);
    }
  }
}

}  // namespace mnv3
