// SPDX-License-Identifier: MIT
#include <mnv3/config/dialects/mmlab.hpp>

#include <string_view>

#include <mnv3/config/architectures.hpp>

#include "../digest.hpp"

// The expected names are those of mmpretrain 1.2's `mobilenet-v3-small` with its classifier.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

// All of them, with their shapes.
static_assert(digest_of<SmallArch>(Names::mmlab) == 0x8be52b56cab1cc8f);

/// Whether OpenMMLab calls the layer that torchvision calls `name` so.
constexpr bool is(const Definition& net, std::string_view name, std::string_view first,
                  std::string_view second) {
  bool found = false;
  for_each_layer(net, [&](const Layer& layer) {
    if (config::torchvision_layer(net, layer).view() != name) return;
    const LayerNames names = config::mmlab_names(net, layer);
    found = names.first.view() == first && names.second.view() == second;
  });
  return found;
}
constexpr const Definition& large = definition_of<LargeArch>;
static_assert(is(large, "features.0", "backbone.layer0.conv", "backbone.layer0.bn"));
static_assert(is(large, "features.1.block.0", "backbone.layer1.depthwise_conv.conv",
                 "backbone.layer1.depthwise_conv.bn"));
static_assert(is(large, "features.4.block.2", "backbone.layer4.se.conv1.conv",
                 "backbone.layer4.se.conv2.conv"));
static_assert(is(large, "features.16", "backbone.layer16.conv", "backbone.layer16.bn"));
static_assert(is(large, "classifier.0", "head.layers.0.fc", ""));
static_assert(is(large, "classifier.3", "head.layers.1.fc", ""));
constexpr Definition flat{SmallArch::blocks, {.hidden_layer = false}};
static_assert(is(flat, "classifier.1", "head.fc", ""));

}  // namespace
