// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/pooling.h>
#include <torch/nn/pimpl.h>

#include <mnv3/heads/feature_backbone.hpp>
#include <mnv3/heads/frames.hpp>
#include <mnv3/heads/segmentation.hpp>

namespace mnv3 {

namespace heads {

/// Convolution without bias, batch norm, ReLU.
inline torch::nn::Sequential conv_norm_relu(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                            std::int64_t dilation = 1) {
  namespace nn = torch::nn;
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(in, out, kernel)
                                       .padding(dilation * (kernel / 2))
                                       .dilation(dilation)
                                       .bias(false)),
                        nn::BatchNorm2d(out), nn::ReLU());
}

/// Atrous spatial pyramid pooling.
///
/// Source  torchvision 0.14.1 models/segmentation/deeplabv3.py L61-110.
class ASPPImpl final : public torch::nn::Cloneable<ASPPImpl> {
 public:
  ASPPImpl(std::int64_t in, const std::vector<std::int64_t>& rates, std::int64_t out)
      : in_(in), rates_(rates), out_(out) {
    reset();
  }

  void reset() override {
    namespace nn = torch::nn;
    convs = nn::ModuleList();
    convs->push_back(conv_norm_relu(in_, out_, 1));
    for (const std::int64_t rate : rates_) convs->push_back(conv_norm_relu(in_, out_, 3, rate));
    convs->push_back(nn::Sequential(nn::AdaptiveAvgPool2d(1),
                                    nn::Conv2d(nn::Conv2dOptions(in_, out_, 1).bias(false)),
                                    nn::BatchNorm2d(out_), nn::ReLU()));
    register_module("convs", convs);
    project = conv_norm_relu(static_cast<std::int64_t>(convs->size()) * out_, out_, 1);
    project->push_back(nn::Dropout(nn::DropoutOptions(0.5)));
    register_module("project", project);
  }

  /// Shapes  x: (N, in, H, W). Result: (N, out, H, W).
  torch::Tensor forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> scales;
    for (std::size_t i = 0; i < convs->size(); ++i)
      scales.push_back(convs->ptr(i)->as<torch::nn::Sequential>()->forward(x));
    scales.back() = resize_to(scales.back(), x.size(2), x.size(3));
    return project->forward(torch::cat(scales, 1));
  }

  torch::nn::ModuleList convs{nullptr};
  torch::nn::Sequential project{nullptr};

 private:
  std::int64_t in_;
  std::vector<std::int64_t> rates_;
  std::int64_t out_;
};
TORCH_MODULE(ASPP);

/// Source  torchvision 0.14.1 models/segmentation/deeplabv3.py L50-58.
inline torch::nn::Sequential deeplab_head(std::int64_t in, std::int64_t num_classes) {
  namespace nn = torch::nn;
  return nn::Sequential(ASPP(in, std::vector<std::int64_t>{12, 24, 36}, 256),
                        nn::Conv2d(nn::Conv2dOptions(256, 256, 3).padding(1).bias(false)),
                        nn::BatchNorm2d(256), nn::ReLU(),
                        nn::Conv2d(nn::Conv2dOptions(256, num_classes, 1)));
}

/// Source  torchvision 0.14.1 models/segmentation/fcn.py L32-43.
inline torch::nn::Sequential fcn_head(std::int64_t in, std::int64_t num_classes) {
  namespace nn = torch::nn;
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(in, in / 4, 3).padding(1).bias(false)),
                        nn::BatchNorm2d(in / 4), nn::ReLU(), nn::Dropout(nn::DropoutOptions(0.1)),
                        nn::Conv2d(nn::Conv2dOptions(in / 4, num_classes, 1)));
}

}  // namespace heads

/// What DeepLabV3 gives: `auto [out, aux] = ...`.
struct Segmentation {
  torch::Tensor out;  ///< Logits, (N, num_classes, H, W).
  torch::Tensor aux;  ///< The auxiliary head's, for training; undefined where there is none.
};

/// Semantic segmentation with DeepLabV3. Child modules and tensors have the names of torchvision's
/// `deeplabv3_mobilenet_v3_large`. A backbone with two outputs has an auxiliary head on the first
/// one, one with one output has none.
///
/// Source  torchvision 0.14.1 models/segmentation/deeplabv3.py L116-133, _utils.py L12-39.
template <class Backbone>
class DeepLabV3Impl final : public torch::nn::Cloneable<DeepLabV3Impl<Backbone>> {
 public:
  static constexpr bool has_aux = Backbone::channels.size() == 2;

  /// Errors  c10::Error if `num_classes` is below 1.
  explicit DeepLabV3Impl(std::int64_t num_classes = 21) : DeepLabV3Impl(Backbone(), num_classes) {}
  /// On a backbone that it shares.
  explicit DeepLabV3Impl(Backbone the_backbone, std::int64_t num_classes = 21)
      : backbone(std::move(the_backbone)), classes_(num_classes) {
    TORCH_CHECK(num_classes >= 1,
                "mnv3: a segmentation network has at least 1 class, but was asked ", "for ",
                num_classes);
    register_children();
  }

  void reset() override {
    backbone = heads::clone_of(backbone);
    register_children();
  }

  /// Shapes  x: (N, C, H, W), what the backbone takes. Results: (N, num_classes, H, W).
  /// Units   As LRASPP.
  /// Errors  As the backbone's.
  /// Grad    Participates in autograd.
  Segmentation forward(const torch::Tensor& x) {
    const auto features = heads::outputs_of(backbone, x);
    const auto at_size = [&](const torch::Tensor& logits) {
      return heads::resize_to(logits, x.size(2), x.size(3));
    };
    Segmentation result{at_size(classifier->forward(features.back())), {}};
    if constexpr (has_aux) result.aux = at_size(aux_classifier->forward(features[0]));
    return result;
  }

  void pretty_print(std::ostream& stream) const override { stream << "DeepLabV3"; }

  Backbone backbone;
  torch::nn::Sequential classifier{nullptr};
  torch::nn::Sequential aux_classifier{nullptr};

 private:
  void register_children() {
    constexpr auto& channels = Backbone::channels;
    this->register_module("backbone", heads::child_of(backbone));
    classifier =
        this->register_module("classifier", heads::deeplab_head(channels.back(), classes_));
    if constexpr (has_aux)
      aux_classifier =
          this->register_module("aux_classifier", heads::fcn_head(channels[0], classes_));
  }

  std::int64_t classes_;
};

namespace heads {

/// Stands where a backbone was refused.
class RefusedDeepLabV3 : public torch::nn::Module {
 public:
  explicit RefusedDeepLabV3(std::int64_t = 0);
  Segmentation forward(const torch::Tensor& x);
};

template <class Backbone, bool Fits>
struct contained_deeplabv3 {
  using type = RefusedDeepLabV3;
};
template <class Backbone>
struct contained_deeplabv3<Backbone, true> {
  using type = DeepLabV3Impl<Backbone>;
};
template <class Backbone>
using ContainedDeepLabV3 =
    typename contained_deeplabv3<Backbone, is_backbone_of<Backbone, 1, 2>()>::type;

}  // namespace heads

/// A LibTorch module holder; see DeepLabV3Impl. The default is torchvision's
/// `deeplabv3_mobilenet_v3_large` with its auxiliary head.
template <class Backbone = heads::SegmentationBackbone>
class DeepLabV3 : public torch::nn::ModuleHolder<heads::ContainedDeepLabV3<Backbone>> {
 public:
  using torch::nn::ModuleHolder<heads::ContainedDeepLabV3<Backbone>>::ModuleHolder;
  using Impl = heads::ContainedDeepLabV3<Backbone>;

  /// A deep copy, typed.
  DeepLabV3 clone() const { return DeepLabV3(std::dynamic_pointer_cast<Impl>((*this)->clone())); }
};
DeepLabV3()->DeepLabV3<>;

}  // namespace mnv3
