// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <utility>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/convolve.hpp>
#include <mnv3/nn/module_tree.hpp>

namespace mnv3 {

/// A convolution "0", its batch norm "1" and its activation, if any.
/// Source  torchvision 0.14.1 ops/misc.py L68-170.
class Conv2dNormActivationImpl final : public torch::nn::Cloneable<Conv2dNormActivationImpl> {
 public:
  Conv2dNormActivationImpl(const Conv2dNormActivationConfig& config, const Settings& settings)
      : config_(config), eps_(settings.batch_norm_eps), momentum_(settings.batch_norm_momentum) {
    reset();
  }

  void reset() override {
    const Conv2dNormActivationConfig& c = config_;
    conv = register_module(
        "0", torch::nn::Conv2d(torch::nn::Conv2dOptions(c.in_channels, c.out_channels, c.kernel)
                                   .stride(c.stride)
                                   .padding(padding_of(c))
                                   .dilation(c.dilation)
                                   .groups(c.groups)
                                   .bias(false)));
    norm = register_module(
        "1", torch::nn::BatchNorm2d(
                 torch::nn::BatchNorm2dOptions(c.out_channels).eps(eps_).momentum(momentum_)));
  }

  /// Shapes  x: (N, in_channels, H, W). Result: (N, out_channels, H/stride, W/stride), rounded up.
  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = norm->forward(convolve(config_, x, conv->weight));
    return config_.activation ? apply_in_place(*config_.activation, std::move(y)) : y;
  }

  // LibTorch's `to(dtype)` makes the batch norm's integer counter floating point. Python's does
  // not, and neither may a network that is to be saved for Python.
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override {
    keeping_counter([&] { Module::to(device, dtype, non_blocking); });
  }
  void to(torch::Dtype dtype, bool non_blocking = false) override {
    keeping_counter([&] { Module::to(dtype, non_blocking); });
  }
  using Module::to;

  void print(ModuleTree& tree, std::string_view key) const {
    tree.open(key, "Conv2dNormActivation");
    tree.leaf("0", printed_conv2d(config_, false));
    tree.leaf("1", fmt::format("BatchNorm2d({}, eps={}, momentum={}, affine=True, "
                               "track_running_stats=True)",
                               norm->options.num_features(), printed_float(norm->options.eps()),
                               printed_float(norm->options.momentum().value_or(0))));
    if (config_.activation) tree.leaf("2", printed_name(*config_.activation));
    tree.close();
  }

  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};

 private:
  template <class Convert>
  void keeping_counter(Convert convert) {
    const torch::Tensor count = norm->num_batches_tracked.clone();
    convert();
    norm->num_batches_tracked.set_data(count.to(norm->num_batches_tracked.device()));
  }

  Conv2dNormActivationConfig config_;
  double eps_;
  double momentum_;
};

TORCH_MODULE(Conv2dNormActivation);

}  // namespace mnv3
