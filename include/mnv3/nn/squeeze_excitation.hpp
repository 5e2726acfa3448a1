// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <ostream>
#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/conv2d_norm_activation.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/gate.hpp>
#include <mnv3/nn/print.hpp>
#include <mnv3/nn/printed_module.hpp>

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
      const auto options = torch::nn::Conv2dOptions(c.in_channels, c.out_channels, 1);
      return nn::printed_as(nn::printed_conv2d(c, true), torch::nn::Conv2dImpl(options));
    };
    const auto parameterless = [this](const char* name, const std::string& text) {
      register_module(name, std::make_shared<nn::ParameterlessImpl>(text));
    };
    parameterless("avgpool", "AdaptiveAvgPool2d(output_size=1)");
    fc1 = register_module("fc1", conv1x1(squeeze_));
    fc2 = register_module("fc2", conv1x1(excite_));
    parameterless("activation", nn::printed_activation(squeeze_.activation, /*in_place=*/false));
    parameterless("scale_activation", nn::printed_gate(gate_));
  }

  /// Shapes  x and result: (N, channels, H, W). Without autograd `x` itself is scaled and returned,
  ///         so it must be a tensor that the caller has just made.
  torch::Tensor forward(torch::Tensor x) {
    check_children();
    torch::Tensor scale = torch::adaptive_avg_pool2d(x, {1, 1});           // (N, channels, 1, 1)
    scale = nn::apply_in_place(squeeze_.activation, fc1->forward(scale));  // (N, squeezed, 1, 1)
    scale = nn::apply_gate_in_place(gate_, fc2->forward(scale));           // (N, channels, 1, 1)
    // Autograd needs the unscaled x for the gate's gradient; autocast may give the gate another
    // dtype.
    const bool in_place =
        !x.requires_grad() && !scale.requires_grad() && x.scalar_type() == scale.scalar_type();
    return in_place ? x.mul_(scale) : scale * x;
  }

  void check_children() const {
    nn::check_children(*this, {nullptr, fc1.get(), fc2.get(), nullptr, nullptr});
  }

  void pretty_print(std::ostream& stream) const override { stream << "SqueezeExcitation"; }

  torch::nn::Conv2d fc1{nullptr};
  torch::nn::Conv2d fc2{nullptr};

 private:
  Gate gate_;
  Conv2dNormActivationConfig squeeze_;
  Conv2dNormActivationConfig excite_;
};

TORCH_MODULE(SqueezeExcitation);

}  // namespace mnv3
