// SPDX-License-Identifier: MIT
#include <mnv3/config/dialects/mobilenet_v2.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/keys.hpp>

#include "../digest.hpp"

// The expected names were printed from torchvision 0.14.1's `mobilenet_v2().state_dict()`.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

constexpr auto names = [] {
  std::array<Name, 314> all{};
  std::size_t next = 0;
  for_each_key(
      definition_of<MobileNetV2Arch>, [&](const Key& key) { all[next++] = key.name; },
      Names::torchvision_mobilenet_v2);
  if (next != all.size()) throw "another number of names";  // not a constant: does not compile
  return all;
}();
static_assert(names[0].view() == "features.0.0.weight");
static_assert(names[6].view() == "features.1.conv.0.0.weight");
static_assert(names[12].view() == "features.1.conv.1.weight", "the projection of two children");
static_assert(names[13].view() == "features.1.conv.2.weight", "and its norm");
static_assert(std::ranges::find(names, "features.2.conv.0.0.weight", &Name::view) != names.end());
static_assert(std::ranges::find(names, "features.2.conv.1.0.weight", &Name::view) != names.end());
static_assert(std::ranges::find(names, "features.2.conv.2.weight", &Name::view) != names.end());
static_assert(std::ranges::find(names, "features.2.conv.3.weight", &Name::view) != names.end());
static_assert(names[306].view() == "features.18.0.weight");
static_assert(names[312].view() == "classifier.1.weight");
static_assert(names[313].view() == "classifier.1.bias");

// All of them, with their shapes.
static_assert(digest_of<MobileNetV2Arch>(Names::torchvision_mobilenet_v2) == 0x5e24ef93a420d775);

// In the module they are those of MobileNetV3.
static_assert(keys<MobileNetV2Arch>.size() == names.size());
static_assert(keys<MobileNetV2Arch>[6].name.view() == "features.1.block.0.0.weight");
static_assert(keys<MobileNetV2Arch>[12].name.view() == "features.1.block.1.0.weight");

}  // namespace
