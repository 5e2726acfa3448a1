// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string_view>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>

// What timm calls the layers of its MobileNetV3 and LCNet.

namespace mnv3::config {

/// "blocks.3.1.": where timm has `features.<feature>`, which must not be the stem.
constexpr Name timm_block(const Definition& net, int feature) {
  int stage = 0;
  int first = 1;  // of its stage; the closing convolutions are one, too
  for (int i = 2; i <= feature; ++i) {
    if (is_block(net, i) ? !begins_stage(net, i) : !is_block(net, i - 1)) continue;
    ++stage;
    first = i;
  }
  return Name{} + "blocks." + stage + "." + (feature - first) + ".";
}

/// Source  timm 1.0.29 models/mobilenetv3.py, models/_efficientnet_blocks.py. A block without an
///         expansion is its `DepthwiseSeparableConv`.
constexpr LayerNames timm_names(const Definition& net, const Layer& layer) {
  using enum Layer::Role;
  const int feature = feature_at(layer.position);
  const bool separable = is_block(net, feature) && !has_expansion(row_of(net, feature));
  const auto in_block = [&](std::string_view first, std::string_view second) -> LayerNames {
    const Name block = timm_block(net, feature);
    return {block + first, block + second};
  };
  const Name name{};
  switch (layer.role) {
    case stem:
      return {name + "conv_stem", name + "bn1"};
    case expansion:
      return in_block("conv_pw", "bn1");
    case depthwise:
      return in_block("conv_dw", separable ? "bn1" : "bn2");
    case squeeze:
      return in_block("se.conv_reduce", "se.conv_expand");
    case projection:
      return separable ? in_block("conv_pw", "bn2") : in_block("conv_pwl", "bn3");
    case closing:
      return in_block("conv", "bn1");
    case hidden:
      return {name + "conv_head", name};
    case output:
      return {name + "classifier", name};
  }
  return {};
}

inline constexpr std::array timm_conventions{PublishedConventions{1e-5, Padding::symmetric},
                                             PublishedConventions{1e-3, Padding::same}};

inline constexpr Dialect timm_dialect{.title = "timm",
                                      .names_of = timm_names,
                                      .hidden_is_1x1 = true,
                                      .published = timm_conventions,
                                      .architectures = "mnv3::timm::..."};

}  // namespace mnv3::config
