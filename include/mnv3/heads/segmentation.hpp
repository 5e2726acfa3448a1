// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/config/transform.hpp>
#include <mnv3/heads/feature_backbone.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>

// What torchvision's segmentation networks share.

namespace mnv3::heads {

/// The backbone of torchvision's: Large, dilated, with the first features at stride 8 and the last at
/// stride 16.
///
/// Source  torchvision 0.14.1 models/segmentation/lraspp.py L82-93, deeplabv3.py L116-133.
using SegmentationBackbone =
    MobileNetV3<Dilated<LargeArch>, taps<first_at_stride<8>, at_stride<16>>>;

/// The part of a backbone that a network registers as its child "backbone". Of a MobileNetV3 these are
/// the features, as in torchvision's files, where their names have no "features." in them.
template <class Backbone>
std::shared_ptr<torch::nn::Module> child_of(const Backbone& backbone) {
  if constexpr (requires { backbone->features.ptr(); })
    return backbone->features.ptr();
  else
    return backbone.ptr();
}

/// A deep copy, typed.
template <class Backbone>
Backbone clone_of(const Backbone& backbone) {
  using Contained = std::remove_cvref_t<decltype(*backbone)>;
  return Backbone(std::dynamic_pointer_cast<Contained>(backbone->clone()));
}

/// The outputs of a backbone as an array, also where there is one.
template <class Backbone>
auto outputs_of(Backbone& backbone, const torch::Tensor& x) {
  if constexpr (Backbone::channels.size() == 1)
    return std::array{backbone(x)};
  else
    return backbone(x);
}

}  // namespace mnv3::heads
