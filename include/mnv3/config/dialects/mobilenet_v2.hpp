// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/dialects/torchvision.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>

// What torchvision calls the layers of its MobileNetV2: the children of a block are `conv`, and the
// projection and its norm are two of them. Otherwise it is as in MobileNetV3.

namespace mnv3::config {

/// Source  torchvision 0.14.1 models/mobilenetv2.py L17-64.
constexpr LayerNames mobilenet_v2_names(const Definition& net, const Layer& layer) {
  using enum Layer::Role;
  const int feature = feature_at(layer.position);
  if (!is_block(net, feature)) return torchvision_names(net, layer);
  const BlockSlots slots = slots_of(row_of(net, feature));
  const Name conv = Name{} + "features." + feature + ".conv.";
  if (layer.role == projection) return {conv + slots.projection, conv + (slots.projection + 1)};
  if (layer.role == squeeze) return {conv + slots.squeeze + ".fc1", conv + slots.squeeze + ".fc2"};
  const Name child = conv + (layer.role == expansion ? slots.expansion : slots.depthwise);
  return {child + ".0", child + ".1"};
}

inline constexpr std::array mobilenet_v2_conventions{
    PublishedConventions{1e-5, Padding::symmetric}};

inline constexpr Dialect mobilenet_v2_dialect{.title = "torchvision MobileNetV2",
                                              .names_of = mobilenet_v2_names,
                                              .backbone_prefix = "features.",
                                              .published = mobilenet_v2_conventions,
                                              .architectures = "mnv3::MobileNetV2Arch"};

}  // namespace mnv3::config
