// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>

// OpenMMLab's MobileNetV3: mmpretrain's, and mmsegmentation's, which pads as TensorFlow does where
// the stride is 2.

namespace mnv3::config {

/// Source  mmpretrain 1.2 models/backbones/mobilenet_v3.py, models/utils/inverted_residual.py,
///         models/utils/se_layer.py, models/heads/stacked_head.py; mmcv `ConvModule`.
constexpr LayerNames mmlab_names(const Definition& net, const Layer& layer) {
  using enum Layer::Role;
  const Name feature = Name{} + "backbone.layer" + feature_at(layer.position);
  const auto conv = [](const Name& name) -> LayerNames { return {name + ".conv", name + ".bn"}; };
  switch (layer.role) {
    case stem:
    case closing:
      return conv(feature);
    case expansion:
      return conv(feature + ".expand_conv");
    case depthwise:
      return conv(feature + ".depthwise_conv");
    case squeeze:
      return {feature + ".se.conv1.conv", feature + ".se.conv2.conv"};
    case projection:
      return conv(feature + ".linear_conv");
    case hidden:
      return {Name{} + "head.layers.0.fc", Name{}};
    case output:
      // Without a hidden layer it is mmpretrain's `LinearClsHead`.
      return {Name{} + (net.settings.hidden_layer ? "head.layers.1.fc" : "head.fc"), Name{}};
  }
  return {};
}

/// Source  mmpretrain 1.2 models/backbones/mobilenet_v3.py L76; mmsegmentation 1.2
///         models/backbones/mobilenet_v3.py and utils/inverted_residual.py (`Conv2dAdaptivePadding`),
///         configs/_base_/models/lraspp_m-v3-d8.py.
inline constexpr std::array mmlab_conventions{
    PublishedConventions{1e-3, Padding::same, "decode_head."},
    PublishedConventions{1e-3, Padding::symmetric}};

inline constexpr Dialect mmlab_dialect{
    .title = "OpenMMLab",
    .names_of = mmlab_names,
    .backbone_prefix = "backbone.",
    .published = mmlab_conventions,
    .architectures =
        "mnv3::LargeArch and mnv3::SmallArch for mmpretrain's; for mmsegmentation's "
        "these with `.padding = Padding::same`"};

}  // namespace mnv3::config
