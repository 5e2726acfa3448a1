// SPDX-License-Identifier: MIT
#include <mnv3/config/dialects/ssdlite.hpp>

#include <array>
#include <cstddef>
#include <string_view>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/transform.hpp>

#include "../digest.hpp"

// The expected names were printed from torchvision 0.14.1's `ssdlite320_mobilenet_v3_large()`.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

using Detector = ReducedTail<LargeArch>;
constexpr const Definition& net = definition_of<Detector>;

// All names of its backbone, with their shapes.
constexpr std::size_t count = 308;
static_assert([] {
  Digest digest;
  std::size_t n = 0;
  for_each_key(
      net,
      [&](const Key& key) {
        if (n++ < count) digest.add(key);
      },
      Names::torchvision_ssdlite);
  return n == count + 4 && digest.value == 0x98137cffedf16d90;
}());

/// Whether SSDlite calls the layer that torchvision's classifier calls `name` so.
constexpr bool is(const Definition& definition, std::string_view name, std::string_view first) {
  bool found = false;
  for_each_layer(definition, [&](const Layer& layer) {
    if (config::torchvision_layer(definition, layer).view() == name)
      found = config::ssdlite_names(definition, layer).first.view() == first;
  });
  return found;
}
static_assert(config::ssdlite_cut(net) == 13);
static_assert(is(net, "features.12.block.0", "features.0.12.block.0.0"));
static_assert(is(net, "features.13.block.0", "features.0.13.0"), "C4's expansion");
static_assert(is(net, "features.13.block.1", "features.1.0.1.0"), "and the rest of it");
static_assert(is(net, "features.13.block.2", "features.1.0.2.fc1"));
static_assert(is(net, "features.14.block.0", "features.1.1.block.0.0"));
static_assert(is(net, "features.16", "features.1.3.0"));
// Small's C4 is another; a block without an expansion is cut after its depthwise convolution.
static_assert(config::ssdlite_cut(definition_of<SmallArch>) == 9);
constexpr std::array first_row{LargeArch::blocks.front()};
constexpr Definition narrow{first_row, {}};
static_assert(config::ssdlite_cut(narrow) == 1);
static_assert(is(narrow, "features.1.block.0", "features.0.1.0"));
static_assert(is(narrow, "features.1.block.1", "features.1.0.1.0"));
// Dilation takes the stride's place and does not move the cut.
static_assert(config::ssdlite_cut(definition_of<Dilated<LargeArch>>) == 13);

}  // namespace
