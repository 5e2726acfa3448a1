// SPDX-License-Identifier: MIT
#include <mnv3/config/position.hpp>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/layers.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

constexpr const Definition& large = definition_of<LargeArch>;

// Positions ascend in running order: inside a feature before its end, the classifier at the end.
static_assert(position_after(0) < position_of_expansion(1));
static_assert(position_of_expansion(1) < position_after(1));
static_assert(position_after(feature_count(large) - 1) < position_of_pooled(large));
static_assert(position_of_pooled(large) < position_of_embedding(large));
static_assert(position_of_embedding(large) < position_of_logits(large));
constexpr bool positions_ascend(const Definition& net) {
  int previous = -1;
  bool ascend = true;
  for_each_layer(net, [&](const Layer& layer) {
    ascend = ascend && layer.position >= previous;
    previous = layer.position;
  });
  return ascend && previous == position_of_logits(net);
}
static_assert(positions_ascend(large));
static_assert(positions_ascend(definition_of<SmallArch>));
static_assert(positions_ascend(definition_of<RvmArch>));
static_assert(positions_ascend(definition_of<MobileNetV2Arch>));

// What the last Linear reads is the pooled vector where there is no hidden layer.
constexpr const Definition& flat = definition_of<MobileNetV2Arch>;
static_assert(position_of_embedding(flat) == position_of_pooled(flat));
static_assert(position_of_pooled(flat) < position_of_logits(flat));

// A position tells its feature, and how many of them a network has that ends there.
static_assert(feature_at(position_of_expansion(7)) == 7);
static_assert(feature_at(position_after(7)) == 7);
static_assert(features_up_to(large, position_after(0)) == 1);
static_assert(features_up_to(large, position_of_expansion(7)) == 8);
static_assert(features_up_to(large, position_after(16)) == 17);
static_assert(features_up_to(large, position_of_pooled(large)) == 17);
static_assert(features_up_to(large, position_of_logits(large)) == 17);

}  // namespace
