// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/conv2d_norm_activation.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/convolve.hpp>
#include <mnv3/nn/frozen_batch_norm2d.hpp>
#include <mnv3/nn/print.hpp>
#include <mnv3/nn/printed_module.hpp>

namespace mnv3 {

/// A convolution "0", its norm "1" and its activation "2", if any.
/// Source  torchvision 0.14.1 ops/misc.py L68-170.
class Conv2dNormActivationImpl final : public torch::nn::Cloneable<Conv2dNormActivationImpl> {
 public:
  Conv2dNormActivationImpl(const Conv2dNormActivationConfig& config, const Settings& settings)
      : config_(config),
        norm_(settings.norm),
        eps_(norm_eps_of(settings)),
        momentum_(settings.norm_momentum),
        groups_(settings.norm_groups) {
    reset();
  }

  void reset() override {
    const Conv2dNormActivationConfig& c = config_;
    const auto options = torch::nn::Conv2dOptions(c.in_channels, c.out_channels, c.kernel)
                             .stride({c.stride.height, c.stride.width})
                             .padding(padding_of(c))
                             .dilation(c.dilation)
                             .groups(c.groups)
                             .bias(false);
    conv = register_module(
        "0", nn::printed_as(nn::printed_conv2d(c, false), torch::nn::Conv2dImpl(options)));
    register_norm();
    made_conv_ = conv.get();
    made_norm_ = registered_norm();
    if (c.activation != Activation::none)
      register_module("2", std::make_shared<nn::ParameterlessImpl>(
                               nn::printed_activation(c.activation, /*in_place=*/true)));
  }

  /// Shapes  x: (N, in_channels, H, W). Result: (N, out_channels, H/stride, W/stride), rounded up.
  torch::Tensor forward(const torch::Tensor& x) {
    check_children();
    torch::Tensor y = normalize(nn::convolve(config_, x, conv->weight));
    return nn::apply_in_place(config_.activation, std::move(y));
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

  /// Refuses what `replace_module` put among the children, with the member or without: the strides
  /// of a convolution and the eps of a norm are the table's. See `nn::check_children`.
  void check_children() const {
    // No module is its own child: what is not as it was made fits nothing that is registered.
    const std::array<const torch::nn::Module*, 3> own{
        conv.get() == made_conv_ ? made_conv_ : this,
        registered_norm() == made_norm_ ? made_norm_ : this, nullptr};
    const bool has_activation = config_.activation != Activation::none;
    nn::check_children(*this, std::span(own).first(has_activation ? 3 : 2));
  }

  void pretty_print(std::ostream& stream) const override { stream << "Conv2dNormActivation"; }

  /// What runs in place of `norm->forward`, if anything: batch norm over several processes. Copies
  /// of the module have the same one.
  using BatchNorm = std::function<torch::Tensor(torch::nn::BatchNorm2dImpl&, const torch::Tensor&)>;
  BatchNorm batch_norm;

  torch::nn::Conv2d conv{nullptr};
  // One of them, as `Settings::norm` says, or none.
  torch::nn::BatchNorm2d norm{nullptr};
  FrozenBatchNorm2d frozen_norm{nullptr};
  torch::nn::GroupNorm group_norm{nullptr};

 private:
  void register_norm() {
    const int channels = config_.out_channels;
    switch (norm_) {
      case Norm::batch: {
        const auto options = torch::nn::BatchNorm2dOptions(channels).eps(eps_).momentum(momentum_);
        const std::string text = fmt::format(
            "BatchNorm2d({}, eps={}, momentum={}, affine=True, track_running_stats=True)", channels,
            nn::printed_float(eps_), nn::printed_float(momentum_));
        norm = register_module("1", nn::printed_as(text, torch::nn::BatchNorm2dImpl(options)));
        return;
      }
      case Norm::frozen_batch:
        frozen_norm = register_module("1", FrozenBatchNorm2d(channels, eps_));
        return;
      case Norm::group: {
        const auto options = torch::nn::GroupNormOptions(groups_, channels).eps(eps_);
        const std::string text = fmt::format("GroupNorm({}, {}, eps={}, affine=True)", groups_,
                                             channels, nn::printed_float(eps_));
        group_norm = register_module("1", nn::printed_as(text, torch::nn::GroupNormImpl(options)));
        return;
      }
      case Norm::none:
        register_module("1", std::make_shared<nn::ParameterlessImpl>("Identity()"));
        return;
    }
  }

  torch::Tensor normalize(torch::Tensor x) {
    switch (norm_) {
      case Norm::batch:
        return batch_norm ? batch_norm(*norm, x) : norm->forward(x);
      case Norm::frozen_batch:
        return frozen_norm->forward(x);
      case Norm::group:
        return group_norm->forward(x);
      case Norm::none:
        return x;
    }
    return x;
  }

  const torch::nn::Module* registered_norm() const {
    if (norm) return norm.get();
    if (frozen_norm) return frozen_norm.get();
    return group_norm ? group_norm.get() : nullptr;
  }

  template <class Convert>
  void keeping_counter(Convert convert) {
    if (!norm) return convert();
    const torch::Tensor count = norm->num_batches_tracked.clone();
    convert();
    norm->num_batches_tracked.set_data(count.to(norm->num_batches_tracked.device()));
  }

  Conv2dNormActivationConfig config_;
  Norm norm_;
  double eps_;
  double momentum_;
  int groups_;
  const torch::nn::Module* made_conv_ = nullptr;
  const torch::nn::Module* made_norm_ = nullptr;
};

TORCH_MODULE(Conv2dNormActivation);

}  // namespace mnv3
