// SPDX-License-Identifier: MIT
#include <mnv3/config/dialects/timm.hpp>

#include <string_view>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/timm.hpp>

// The expected names were printed from timm 1.0.29's `state_dict()`. The digests in
// tests/static/config/timm.cpp are of all of them, with their shapes.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

/// Whether timm calls the layer that torchvision calls `name` so.
template <class Arch>
constexpr bool is(std::string_view name, std::string_view first, std::string_view second) {
  bool found = false;
  for_each_layer(definition_of<Arch>, [&](const Layer& layer) {
    if (config::torchvision_layer(definition_of<Arch>, layer).view() != name) return;
    const LayerNames names = config::timm_names(definition_of<Arch>, layer);
    found = names.first.view() == first && names.second.view() == second;
  });
  return found;
}
static_assert(is<LargeArch>("features.0", "conv_stem", "bn1"));
static_assert(is<LargeArch>("features.1.block.0", "blocks.0.0.conv_dw", "blocks.0.0.bn1"));
static_assert(is<LargeArch>("features.1.block.1", "blocks.0.0.conv_pw", "blocks.0.0.bn2"));
static_assert(is<LargeArch>("features.2.block.0", "blocks.1.0.conv_pw", "blocks.1.0.bn1"));
static_assert(is<LargeArch>("features.3.block.1", "blocks.1.1.conv_dw", "blocks.1.1.bn2"));
static_assert(is<LargeArch>("features.3.block.2", "blocks.1.1.conv_pwl", "blocks.1.1.bn3"));
static_assert(is<LargeArch>("features.4.block.2", "blocks.2.0.se.conv_reduce",
                            "blocks.2.0.se.conv_expand"));
static_assert(is<LargeArch>("features.16", "blocks.6.0.conv", "blocks.6.0.bn1"));
static_assert(is<timm::mobilenetv3_large_150d>("features.23", "blocks.6.1.conv", "blocks.6.1.bn1"));
static_assert(is<LargeArch>("classifier.0", "conv_head", ""));
static_assert(is<LargeArch>("classifier.3", "classifier", ""));
static_assert(is<timm::lcnet_100>("features.7.block.0", "blocks.3.1.conv_dw", "blocks.3.1.bn1"));
static_assert(is<timm::lcnet_100>("features.8.block.1", "blocks.4.0.conv_pw", "blocks.4.0.bn2"));

}  // namespace
