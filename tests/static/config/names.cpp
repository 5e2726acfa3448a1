// SPDX-License-Identifier: MIT
#include <mnv3/config/names.hpp>

#include <string_view>

#include <mnv3/config/architectures.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

/// What the layer of `net` is called that torchvision calls `name`.
constexpr LayerNames called(const Definition& net, std::string_view name, Names names) {
  LayerNames found;
  for_each_layer(net, [&](const Layer& layer) {
    if (config::torchvision_layer(net, layer).view() == name) found = names_of(net, layer, names);
  });
  return found;
}
constexpr bool is(const LayerNames& names, std::string_view first, std::string_view second) {
  return names.first.view() == first && names.second.view() == second;
}

// One layer of each kind in each family's words; the dialects' own tests have the rest.
constexpr const Definition& large = definition_of<LargeArch>;
static_assert(is(called(large, "features.0", Names::torchvision), "features.0.0", "features.0.1"));
static_assert(is(called(large, "features.4.block.2", Names::torchvision), "features.4.block.2.fc1",
                 "features.4.block.2.fc2"));
static_assert(is(called(large, "classifier.3", Names::torchvision), "classifier.3", ""));
static_assert(is(called(large, "features.0", Names::timm), "conv_stem", "bn1"));
static_assert(is(called(large, "features.2.block.2", Names::torchvision_mobilenet_v2),
                 "features.2.conv.2", "features.2.conv.3"));

}  // namespace
