// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/module_tree.hpp>

namespace mnv3 {

/// Scales each channel by a gate computed from the means of all channels.
/// Source  torchvision 0.14.1 ops/misc.py L224-260.
class SqueezeExcitationImpl final : public torch::nn::Cloneable<SqueezeExcitationImpl> {
 public:
  SqueezeExcitationImpl(int channels, int squeeze_channels, Activation activation = Activation::RE,
                        Gate gate = Gate::hardsigmoid)
      : gate_(gate),
        squeeze_{
            .in_channels = channels, .out_channels = squeeze_channels, .activation = activation},
        excite_{.in_channels = squeeze_channels, .out_channels = channels} {
    reset();
  }

  void reset() override {
    const auto conv1x1 = [](const Conv2dNormActivationConfig& c) {
      return torch::nn::Conv2d(torch::nn::Conv2dOptions(c.in_channels, c.out_channels, 1));
    };
    fc1 = register_module("fc1", conv1x1(squeeze_));
    fc2 = register_module("fc2", conv1x1(excite_));
  }

  /// Shapes  x and result: (N, channels, H, W). Without autograd `x` itself is scaled and returned,
  ///         so it must be a tensor that the caller has just made.
  torch::Tensor forward(torch::Tensor x) {
    torch::Tensor scale = torch::adaptive_avg_pool2d(x, {1, 1});        // (N, channels, 1, 1)
    scale = apply_in_place(*squeeze_.activation, fc1->forward(scale));  // (N, squeezed, 1, 1)
    scale = fc2->forward(scale);                                        // (N, channels, 1, 1)
    scale = gate_ == Gate::sigmoid ? torch::sigmoid(scale) : torch::hardsigmoid(scale);
    // Autograd needs the unscaled x for the gate's gradient; autocast may give the gate another
    // dtype.
    const bool in_place =
        !x.requires_grad() && !scale.requires_grad() && x.scalar_type() == scale.scalar_type();
    return in_place ? x.mul_(scale) : scale * x;
  }

  void print(ModuleTree& tree, std::string_view key) const {
    tree.open(key, "SqueezeExcitation");
    tree.leaf("avgpool", "AdaptiveAvgPool2d(output_size=1)");
    tree.leaf("fc1", printed_conv2d(squeeze_, true));
    tree.leaf("fc2", printed_conv2d(excite_, true));
    tree.leaf("activation", *squeeze_.activation == Activation::HS ? "Hardswish()" : "ReLU()");
    tree.leaf("scale_activation", gate_ == Gate::sigmoid ? "Sigmoid()" : "Hardsigmoid()");
    tree.close();
  }

  torch::nn::Conv2d fc1{nullptr};
  torch::nn::Conv2d fc2{nullptr};

 private:
  Gate gate_;
  Conv2dNormActivationConfig squeeze_;
  Conv2dNormActivationConfig excite_;
};

TORCH_MODULE(SqueezeExcitation);

}  // namespace mnv3
