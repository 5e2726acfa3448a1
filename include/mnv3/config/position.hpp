// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/geometry.hpp>

// Where in the network something is, as one ascending number: every feature has two places, inside
// (after its expansion) and at its end; the pooled vector and the classifier's two Linears follow.
// A network whose last tap is at position p has exactly the layers at positions up to p.

namespace mnv3 {

constexpr int position_of_expansion(int feature) { return 2 * feature; }
constexpr int position_after(int feature) { return 2 * feature + 1; }
constexpr int position_of_pooled(const Definition& net) { return 2 * feature_count(net); }
/// Without a hidden layer the last Linear reads the pooled vector itself.
constexpr int position_of_embedding(const Definition& net) {
  return position_of_pooled(net) + (net.settings.hidden_layer ? 1 : 0);
}
constexpr int position_of_logits(const Definition& net) { return position_of_pooled(net) + 2; }

/// Whether a network that ends at `reach` has logits of a number that only the network knows.
constexpr bool has_dynamic_classes(const Definition& net, int reach) {
  return net.settings.num_classes == dynamic_classes && reach >= position_of_logits(net);
}

/// The feature that a position is in, where it is in any.
constexpr int feature_at(int position) { return position / 2; }
/// Features that a network has whose last tap is at `reach`.
constexpr int features_up_to(const Definition& net, int reach) {
  return std::min(feature_count(net), feature_at(reach) + 1);
}

}  // namespace mnv3
