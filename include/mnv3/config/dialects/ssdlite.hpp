// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/dialects/torchvision.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>

// torchvision's SSDlite: its MobileNetV3 is cut in two, within the last block that has a stride (C4).
// What comes out of that block's expansion ends the first part.

namespace mnv3::config {

/// The feature that SSDlite cuts: the last block that has a stride, dilated or not.
constexpr int ssdlite_cut(const Definition& net) {
  int cut = 1;
  for (int i = 1; is_block(net, i); ++i)
    if (row_of(net, i).stride != 1) cut = i;
  return cut;
}

/// Source  torchvision 0.14.1 models/detection/ssdlite.py L118-133 and L163-185: the first child of
///         the block's `Sequential` goes to one part; the others keep their indices in the other.
constexpr LayerNames ssdlite_names(const Definition& net, const Layer& layer) {
  if (layer.kind == Layer::Kind::linear) return torchvision_names(net, layer);
  const int feature = feature_at(layer.position);
  const int cut = ssdlite_cut(net);
  const int slot = is_block(net, feature) ? slot_in_block(row_of(net, feature), layer.role) : -1;
  Name name = Name{} + "features.";
  if (feature < cut)
    name = name + "0." + feature;
  else if (feature > cut)
    name = name + "1." + (feature - cut);
  else if (slot == 0)
    name = name + "0." + cut;
  else
    name = name + "1.0." + slot;
  if (feature != cut && slot >= 0) name = name + ".block." + slot;
  return torchvision_children(layer, name);
}

inline constexpr Dialect ssdlite_dialect{.title = "torchvision SSDlite",
                                         .names_of = ssdlite_names,
                                         .backbone_prefix = "features.",
                                         .published = torchvision_conventions};

}  // namespace mnv3::config
