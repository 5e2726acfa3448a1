// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/dialects/mobilenet_v2.hpp>
#include <mnv3/config/dialects/timm.hpp>
#include <mnv3/config/dialects/torchvision.hpp>
#include <mnv3/config/layers.hpp>

// What a layer's tensors are called in a checkpoint.

namespace mnv3 {

/// All families whose checkpoints are known, in the order in which a file is compared with them.
inline constexpr std::array dialects{config::torchvision_dialect, config::timm_dialect,
                                     config::mobilenet_v2_dialect};

/// The dialect with these names.
constexpr const Dialect& dialect_of(Names names) {
  switch (names) {
    case Names::torchvision:
      return config::torchvision_dialect;
    case Names::timm:
      return config::timm_dialect;
    case Names::torchvision_mobilenet_v2:
      return config::mobilenet_v2_dialect;
  }
  return config::torchvision_dialect;
}

/// What `layer` of `net` is called in a checkpoint with these names.
constexpr LayerNames names_of(const Definition& net, const Layer& layer, Names names) {
  return dialect_of(names).names_of(net, layer);
}

}  // namespace mnv3
