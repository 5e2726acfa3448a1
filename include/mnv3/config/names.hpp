// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/dialects/mobilenet_v2.hpp>
#include <mnv3/config/dialects/timm.hpp>
#include <mnv3/config/layer_names.hpp>
#include <mnv3/config/layers.hpp>

// What a layer's tensors are called in a checkpoint.

namespace mnv3 {

namespace config::detail {

/// Source  torchvision 0.14.1 models/mobilenetv3.py.
constexpr LayerNames torchvision_names(const Layer& layer) {
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

}  // namespace config::detail

/// What `layer` of `net` is called in a checkpoint with these names.
constexpr LayerNames names_of(const Definition& net, const Layer& layer, Names names) {
  switch (names) {
    case Names::torchvision:
      return config::detail::torchvision_names(layer);
    case Names::timm:
      return config::detail::timm_names(net, layer);
    case Names::torchvision_mobilenet_v2:
      return config::detail::mobilenet_v2_names(net, layer);
  }
  return {};
}

/// Whether a checkpoint with these names has the classifier's hidden layer as a 1x1 convolution.
/// Source  timm 1.0.29 models/mobilenetv3.py (`conv_head`).
constexpr bool hidden_is_convolution(Names names) {
  switch (names) {
    case Names::timm:
      return true;
    case Names::torchvision:
    case Names::torchvision_mobilenet_v2:
      break;
  }
  return false;
}

}  // namespace mnv3
