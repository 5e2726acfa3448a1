// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/dialect.hpp>

// torchvision's MobileNetV3, whose names our modules have, too.

namespace mnv3::config {

/// Source  torchvision 0.14.1 models/mobilenetv3.py.
constexpr LayerNames torchvision_names(const Definition&, const Layer& layer) {
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

inline constexpr std::array torchvision_conventions{PublishedConventions{1e-3, Padding::symmetric}};

inline constexpr Dialect torchvision_dialect{.names = Names::torchvision,
                                             .title = "torchvision",
                                             .names_of = torchvision_names,
                                             .hidden_is_1x1 = false,
                                             .published = torchvision_conventions,
                                             .architectures = ""};

}  // namespace mnv3::config
