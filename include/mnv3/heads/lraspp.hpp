// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <utility>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/pooling.h>
#include <torch/nn/pimpl.h>

#include <mnv3/heads/feature_backbone.hpp>
#include <mnv3/heads/frames.hpp>
#include <mnv3/heads/segmentation.hpp>

namespace mnv3 {

/// The lite reduced atrous spatial pyramid pooling of the MobileNetV3 paper.
///
/// Source  torchvision 0.14.1 models/segmentation/lraspp.py L49-79.
class LRASPPHeadImpl final : public torch::nn::Cloneable<LRASPPHeadImpl> {
 public:
  LRASPPHeadImpl(std::int64_t low_channels, std::int64_t high_channels, std::int64_t num_classes,
                 std::int64_t inter_channels)
      : low_(low_channels), high_(high_channels), classes_(num_classes), inter_(inter_channels) {
    TORCH_CHECK(num_classes >= 1 && inter_channels >= 1,
                "mnv3: LR-ASPP has at least 1 class and 1 ", "channel between, but was asked for ",
                num_classes, " and ", inter_channels);
    reset();
  }

  void reset() override {
    namespace nn = torch::nn;
    const auto reduce = [&] { return nn::Conv2d(nn::Conv2dOptions(high_, inter_, 1).bias(false)); };
    cbr = register_module("cbr", nn::Sequential(reduce(), nn::BatchNorm2d(inter_),
                                                nn::ReLU(nn::ReLUOptions(/*inplace=*/true))));
    scale =
        register_module("scale", nn::Sequential(nn::AdaptiveAvgPool2d(1), reduce(), nn::Sigmoid()));
    low_classifier =
        register_module("low_classifier", nn::Conv2d(nn::Conv2dOptions(low_, classes_, 1)));
    high_classifier =
        register_module("high_classifier", nn::Conv2d(nn::Conv2dOptions(inter_, classes_, 1)));
  }

  /// Shapes  low: (N, low_channels, H, W), high: (N, high_channels, h, w). Result: (N, num_classes,
  ///         H, W).
  torch::Tensor forward(const torch::Tensor& low, const torch::Tensor& high) {
    const torch::Tensor x = cbr->forward(high) * scale->forward(high);
    return low_classifier->forward(low) +
           high_classifier->forward(heads::resize_to(x, low.size(2), low.size(3)));
  }

  torch::nn::Sequential cbr{nullptr};
  torch::nn::Sequential scale{nullptr};
  torch::nn::Conv2d low_classifier{nullptr};
  torch::nn::Conv2d high_classifier{nullptr};

 private:
  std::int64_t low_, high_, classes_, inter_;
};
TORCH_MODULE(LRASPPHead);

/// Semantic segmentation with LR-ASPP. Child modules and tensors have the names of torchvision's
/// `lraspp_mobilenet_v3_large`, so that its files load as they are, and it loads what `save` writes.
///
/// Source  torchvision 0.14.1 models/segmentation/lraspp.py L17-46.
template <class Backbone>
class LRASPPImpl final : public torch::nn::Cloneable<LRASPPImpl<Backbone>> {
 public:
  /// Errors  c10::Error if one of the numbers is below 1.
  explicit LRASPPImpl(std::int64_t num_classes = 21, std::int64_t inter_channels = 128)
      : LRASPPImpl(Backbone(), num_classes, inter_channels) {}
  /// On a backbone that it shares.
  explicit LRASPPImpl(Backbone the_backbone, std::int64_t num_classes = 21,
                      std::int64_t inter_channels = 128)
      : backbone(std::move(the_backbone)), classes_(num_classes), inter_(inter_channels) {
    register_children();
  }

  void reset() override {
    backbone = heads::clone_of(backbone);
    register_children();
  }

  /// Shapes  x: (N, C, H, W), what the backbone takes. Result: logits, (N, num_classes, H, W).
  /// Units   What the backbone takes; torchvision's: RGB, normalised with ImageNet's mean and std.
  /// Errors  As the backbone's.
  /// Grad    Participates in autograd.
  torch::Tensor forward(const torch::Tensor& x) {
    const auto [low, high] = backbone(x);
    return heads::resize_to(classifier->forward(low, high), x.size(2), x.size(3));
  }

  void pretty_print(std::ostream& stream) const override { stream << "LRASPP"; }

  Backbone backbone;
  LRASPPHead classifier{nullptr};

 private:
  void register_children() {
    this->register_module("backbone", heads::child_of(backbone));
    classifier = this->register_module(
        "classifier", LRASPPHead(Backbone::channels[0], Backbone::channels[1], classes_, inter_));
  }

  std::int64_t classes_;
  std::int64_t inter_;
};

namespace heads {

/// Stands where a backbone was refused.
class RefusedSegmentation : public torch::nn::Module {
 public:
  explicit RefusedSegmentation(std::int64_t = 0);
  torch::Tensor forward(const torch::Tensor& x);
};

template <class Backbone, bool Fits>
struct contained_lraspp {
  using type = RefusedSegmentation;
};
template <class Backbone>
struct contained_lraspp<Backbone, true> {
  using type = LRASPPImpl<Backbone>;
};
template <class Backbone>
using ContainedLRASPP = typename contained_lraspp<Backbone, is_backbone_of<Backbone, 2>()>::type;

}  // namespace heads

/// A LibTorch module holder; see LRASPPImpl. The default is torchvision's
/// `lraspp_mobilenet_v3_large`.
template <class Backbone = heads::SegmentationBackbone>
class LRASPP : public torch::nn::ModuleHolder<heads::ContainedLRASPP<Backbone>> {
 public:
  using torch::nn::ModuleHolder<heads::ContainedLRASPP<Backbone>>::ModuleHolder;
  using Impl = heads::ContainedLRASPP<Backbone>;

  /// A deep copy, typed.
  LRASPP clone() const { return LRASPP(std::dynamic_pointer_cast<Impl>((*this)->clone())); }
};
LRASPP()->LRASPP<>;

}  // namespace mnv3
