// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/dialects/d_li14.hpp>
#include <mnv3/config/dialects/mmlab.hpp>
#include <mnv3/config/dialects/mobilenet_v2.hpp>
#include <mnv3/config/dialects/ssdlite.hpp>
#include <mnv3/config/dialects/timm.hpp>
#include <mnv3/config/dialects/torchvision.hpp>
#include <mnv3/config/layers.hpp>

// What a layer's tensors are called in a checkpoint.

namespace mnv3 {

inline constexpr Names Names::torchvision{};
inline constexpr Names Names::timm{&config::timm_dialect};
inline constexpr Names Names::torchvision_mobilenet_v2{&config::mobilenet_v2_dialect};
inline constexpr Names Names::torchvision_ssdlite{&config::ssdlite_dialect};
inline constexpr Names Names::mmlab{&config::mmlab_dialect};

/// All families whose checkpoints are known, in the order in which a file is compared with them.
inline constexpr std::array dialects{&config::torchvision_dialect,  &config::timm_dialect,
                                     &config::mobilenet_v2_dialect, &config::ssdlite_dialect,
                                     &config::mmlab_dialect,        &config::d_li14_dialect};

/// The dialect with these names.
constexpr const Dialect& dialect_of(Names names) {
  return names.dialect == nullptr ? config::torchvision_dialect : *names.dialect;
}

/// What `layer` of `net` is called in a checkpoint with these names; not given, in the module.
constexpr LayerNames names_of(const Definition& net, const Layer& layer, Names names = {}) {
  return dialect_of(names).names_of(net, layer);
}

}  // namespace mnv3
