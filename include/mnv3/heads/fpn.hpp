// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/heads/feature_backbone.hpp>
#include <mnv3/heads/segmentation.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>

namespace mnv3 {

/// One more level, from the last one, by taking every second pixel.
///
/// Source  torchvision 0.14.1 ops/feature_pyramid_network.py L208-222.
struct LastLevelMaxPool {
  static constexpr int levels = 1;
};

/// Two more levels, by strided convolutions, from the backbone's last output or, where it has as many
/// channels as the pyramid, from the pyramid's.
///
/// Source  torchvision 0.14.1 ops/feature_pyramid_network.py L225-253.
struct LastLevelP6P7 {
  static constexpr int levels = 2;
};

/// No more levels.
struct NoExtraLevels {
  static constexpr int levels = 0;
};

namespace heads {

/// As torchvision initialises it.
inline torch::nn::Conv2d pyramid_conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                      std::int64_t stride = 1) {
  torch::nn::Conv2d made(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2));
  const torch::NoGradGuard no_grad;
  torch::nn::init::kaiming_uniform_(made->weight, 1);
  torch::nn::init::zeros_(made->bias);
  return made;
}

/// The convolutions of LastLevelP6P7.
class P6P7Impl final : public torch::nn::Cloneable<P6P7Impl> {
 public:
  P6P7Impl(std::int64_t in, std::int64_t out) : in_(in), out_(out) { reset(); }
  void reset() override {
    p6 = register_module("p6", pyramid_conv(in_, out_, 3, 2));
    p7 = register_module("p7", pyramid_conv(out_, out_, 3, 2));
  }

  torch::nn::Conv2d p6{nullptr};
  torch::nn::Conv2d p7{nullptr};

 private:
  std::int64_t in_;
  std::int64_t out_;
};

}  // namespace heads

/// A feature pyramid: every output of a backbone with as many channels, and with what the coarser
/// ones know.
///
/// Source  torchvision 0.14.1 ops/feature_pyramid_network.py L43-205.
template <class Extra>
class FeaturePyramidNetworkImpl final
    : public torch::nn::Cloneable<FeaturePyramidNetworkImpl<Extra>> {
 public:
  /// Errors  c10::Error if there is no input or one of the numbers is below 1.
  FeaturePyramidNetworkImpl(std::vector<std::int64_t> in_channels, std::int64_t out_channels)
      : in_(std::move(in_channels)), out_(out_channels) {
    TORCH_CHECK(
        !in_.empty() && out_ >= 1 && *std::min_element(in_.begin(), in_.end()) >= 1,
        "mnv3: a feature pyramid has at least one input, and at least 1 channel each, but was ",
        "asked for inputs of ", in_, " channels and ", out_, " after it");
    reset();
  }

  void reset() override {
    inner_blocks = torch::nn::ModuleList();
    layer_blocks = torch::nn::ModuleList();
    for (const std::int64_t in : in_) {
      inner_blocks->push_back(torch::nn::Sequential(heads::pyramid_conv(in, out_, 1)));
      layer_blocks->push_back(torch::nn::Sequential(heads::pyramid_conv(out_, out_, 3)));
    }
    this->register_module("inner_blocks", inner_blocks);
    this->register_module("layer_blocks", layer_blocks);
    if constexpr (Extra::levels == 2)
      extra_blocks = this->register_module("extra_blocks",
                                           std::make_shared<heads::P6P7Impl>(in_.back(), out_));
  }

  /// Shapes  features: (N, in_channels[i], H, W), the finest first. Results: (N, out_channels, ...)
  ///         of the same sizes, then the further levels.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& features) {
    TORCH_CHECK(features.size() == in_.size(), "mnv3: this feature pyramid takes ", in_.size(),
                " features, but was given ", features.size());
    const auto run = [](const torch::nn::ModuleList& blocks, std::size_t i,
                        const torch::Tensor& x) {
      return blocks->ptr(i)->template as<torch::nn::Sequential>()->forward(x);
    };
    std::vector<torch::Tensor> levels(features.size());
    torch::Tensor inner;
    for (std::size_t i = features.size(); i-- > 0;) {
      const torch::Tensor lateral = run(inner_blocks, i, features[i]);
      inner = inner.defined()
                  ? lateral + torch::upsample_nearest2d(inner, {lateral.size(2), lateral.size(3)})
                  : lateral;
      levels[i] = run(layer_blocks, i, inner);
    }
    if constexpr (Extra::levels == 1) {
      levels.push_back(torch::max_pool2d(levels.back(), 1, 2));
    } else if constexpr (Extra::levels == 2) {
      const torch::Tensor from = in_.back() == out_ ? levels.back() : features.back();
      levels.push_back(extra_blocks->p6->forward(from));
      levels.push_back(extra_blocks->p7->forward(torch::relu(levels.back())));
    }
    return levels;
  }

  torch::nn::ModuleList inner_blocks{nullptr};
  torch::nn::ModuleList layer_blocks{nullptr};
  std::shared_ptr<heads::P6P7Impl> extra_blocks;  ///< Where there are two more levels.

 private:
  std::vector<std::int64_t> in_;
  std::int64_t out_;
};

template <class Extra = LastLevelMaxPool>
class FeaturePyramidNetwork : public torch::nn::ModuleHolder<FeaturePyramidNetworkImpl<Extra>> {
 public:
  using torch::nn::ModuleHolder<FeaturePyramidNetworkImpl<Extra>>::ModuleHolder;
};

namespace heads {

/// Large with frozen batch norm, as torchvision's detection networks have it.
///
/// Source  torchvision 0.14.1 models/detection/backbone_utils.py L183-257: FrozenBatchNorm2d with its
///         own eps.
struct DetectionArch : LargeArch {
  static constexpr Settings settings{.norm = Norm::frozen_batch};
};

/// Its last two stages: the first features of C4, and the last of all.
using DetectionBackbone = MobileNetV3<DetectionArch, taps<after<13>, after<16>>>;

}  // namespace heads

/// A backbone with a feature pyramid, which is a `feature_backbone` itself. Child modules and tensors
/// have the names of torchvision's `mobilenet_backbone(..., fpn=True)`: "body" and "fpn".
///
/// Source  torchvision 0.14.1 models/detection/backbone_utils.py L13-62.
template <class Backbone, class Extra, int OutChannels>
class BackboneWithFPNImpl final
    : public torch::nn::Cloneable<BackboneWithFPNImpl<Backbone, Extra, OutChannels>> {
 public:
  static constexpr std::size_t count = Backbone::channels.size();
  using Outputs = std::array<torch::Tensor, count + Extra::levels>;

  BackboneWithFPNImpl() : BackboneWithFPNImpl(Backbone()) {}
  /// On a backbone that it shares.
  explicit BackboneWithFPNImpl(Backbone the_backbone) : backbone(std::move(the_backbone)) {
    register_children();
  }
  void reset() override {
    backbone = heads::clone_of(backbone);
    register_children();
  }

  /// Shapes  x: what the backbone takes. Results: the pyramid's levels, the finest first.
  Outputs forward(const torch::Tensor& x) {
    const auto features = heads::outputs_of(backbone, x);
    const auto levels = fpn->forward({features.begin(), features.end()});
    Outputs outputs;
    std::copy(levels.begin(), levels.end(), outputs.begin());
    return outputs;
  }

  void pretty_print(std::ostream& stream) const override { stream << "BackboneWithFPN"; }

  Backbone backbone;
  FeaturePyramidNetwork<Extra> fpn{nullptr};

 private:
  void register_children() {
    this->register_module("body", heads::child_of(backbone));
    fpn = this->register_module(
        "fpn", FeaturePyramidNetwork<Extra>(
                   std::vector<std::int64_t>(Backbone::channels.begin(), Backbone::channels.end()),
                   OutChannels));
  }
};

/// A LibTorch module holder; see BackboneWithFPNImpl. The default is torchvision's for Large.
template <feature_backbone Backbone = heads::DetectionBackbone, class Extra = LastLevelMaxPool,
          int OutChannels = 256>
class BackboneWithFPN
    : public torch::nn::ModuleHolder<BackboneWithFPNImpl<Backbone, Extra, OutChannels>> {
 public:
  using Impl = BackboneWithFPNImpl<Backbone, Extra, OutChannels>;
  using torch::nn::ModuleHolder<Impl>::ModuleHolder;

  static constexpr auto channels = [] {
    std::array<int, Impl::count + Extra::levels> all{};
    all.fill(OutChannels);
    return all;
  }();
  /// A further level halves the one before it.
  static constexpr auto strides = [] {
    std::array<int, channels.size()> all{};
    for (std::size_t i = 0; i < all.size(); ++i)
      all[i] = i < Impl::count ? static_cast<int>(Backbone::strides[i]) : 2 * all[i - 1];
    return all;
  }();

  /// A deep copy, typed.
  BackboneWithFPN clone() const {
    return BackboneWithFPN(std::dynamic_pointer_cast<Impl>((*this)->clone()));
  }
};
BackboneWithFPN()->BackboneWithFPN<>;

}  // namespace mnv3
