// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>
#include <mnv3/config/position.hpp>

// torchvision's MobileNetV3, whose names our modules have, too.

namespace mnv3::config {

/// Which child of `features.<feature>.block` a layer of a block is.
constexpr int slot_in_block(const InvertedResidualConfig& row, Layer::Role role) {
  const BlockSlots slots = slots_of(row);
  switch (role) {
    case Layer::Role::expansion:
      return slots.expansion;
    case Layer::Role::depthwise:
      return slots.depthwise;
    case Layer::Role::squeeze:
      return slots.squeeze;
    case Layer::Role::projection:
      return slots.projection;
    case Layer::Role::stem:
    case Layer::Role::closing:
    case Layer::Role::hidden:
    case Layer::Role::output:
      break;
  }
  return -1;
}

/// What has tensors of a layer that is called `name`.
constexpr LayerNames torchvision_children(const Layer& layer, const Name& name) {
  switch (layer.kind) {
    case Layer::Kind::conv_norm_activation:
      return {name + ".0", name + ".1"};
    case Layer::Kind::squeeze_excitation:
      return {name + ".fc1", name + ".fc2"};
    case Layer::Kind::linear:
      break;
  }
  return {name, Name{}};
}

/// What torchvision calls a layer: "features.4.block.2".
/// Source  torchvision 0.14.1 models/mobilenetv3.py.
constexpr Name torchvision_layer(const Definition& net, const Layer& layer) {
  if (layer.kind == Layer::Kind::linear) {
    const ClassifierSlots slots = classifier_slots(net.settings);
    return Name{} + "classifier." +
           (layer.role == Layer::Role::hidden ? slots.hidden : slots.output);
  }
  const int feature = feature_at(layer.position);
  const Name name = Name{} + "features." + feature;
  if (!is_block(net, feature)) return name;
  return name + ".block." + slot_in_block(row_of(net, feature), layer.role);
}

constexpr LayerNames torchvision_names(const Definition& net, const Layer& layer) {
  return torchvision_children(layer, torchvision_layer(net, layer));
}

inline constexpr std::array torchvision_conventions{PublishedConventions{1e-3, Padding::symmetric}};

/// Its LR-ASPP ("backbone.0.0.weight") and its detection ("backbone.body.0.0.weight") have a
/// backbone that was taken out of "features.".
inline constexpr Dialect torchvision_dialect{.title = "torchvision",
                                             .names_of = torchvision_names,
                                             .backbone_prefix = "features.",
                                             .published = torchvision_conventions};

}  // namespace mnv3::config
