// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/layers.hpp>

// What a layer's tensors are called in a checkpoint.

namespace mnv3 {

/// Prefixes of the names of one layer's tensors.
struct LayerNames {
  Name first;   ///< The convolution, the squeezing one, or the Linear.
  Name second;  ///< Its batch norm, or the exciting one.
};

namespace detail {

/// "blocks.3.1.": where timm has `features.<feature>`, which must not be the stem.
constexpr Name timm_block(const Definition& net, int feature) {
  const int blocks = static_cast<int>(net.blocks.size());
  int first = feature;  // of its stage
  if (feature > blocks)
    first = blocks + 1;
  else
    while (first > 1 && stage_of(net, first - 1) == stage_of(net, feature)) --first;
  const int stage = feature > blocks ? stage_of(net, blocks) + 1 : stage_of(net, feature);
  return Name{} + "blocks." + stage + "." + (feature - first) + ".";
}

/// Source  timm 1.0.29 models/mobilenetv3.py, models/_efficientnet_blocks.py. A block without an
///         expansion is its `DepthwiseSeparableConv`.
constexpr LayerNames timm_names(const Definition& net, const Layer& layer) {
  using enum Layer::Role;
  const int feature = layer.position / 2;
  const bool separable = is_block(net, feature) && !has_expansion(row_of(net, feature));
  const Name name{};
  switch (layer.role) {
    case stem:
      return {name + "conv_stem", name + "bn1"};
    case hidden:
      return {name + "conv_head", name};
    case output:
      return {name + "classifier", name};
    default:
      break;
  }
  const Name block = timm_block(net, feature);
  switch (layer.role) {
    case expansion:
      return {block + "conv_pw", block + "bn1"};
    case depthwise:
      return {block + "conv_dw", block + (separable ? "bn1" : "bn2")};
    case squeeze:
      return {block + "se.conv_reduce", block + "se.conv_expand"};
    case projection:
      return {block + (separable ? "conv_pw" : "conv_pwl"), block + (separable ? "bn2" : "bn3")};
    default:  // the closing ones
      return {block + "conv", block + "bn1"};
  }
}

}  // namespace detail

/// What `layer` of `net` is called in a checkpoint with these names.
constexpr LayerNames names_of(const Definition& net, const Layer& layer, Names names) {
  if (names == Names::timm) return detail::timm_names(net, layer);
  switch (layer.kind) {
    case Layer::Kind::conv_norm_activation:
      return {layer.name + ".0", layer.name + ".1"};
    case Layer::Kind::squeeze_excitation:
      return {layer.name + ".fc1", layer.name + ".fc2"};
    case Layer::Kind::linear:
      break;
  }
  return {layer.name, Name{}};
}

}  // namespace mnv3
