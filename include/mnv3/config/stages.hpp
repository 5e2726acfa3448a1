// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/stage_set.hpp>

// The stages of a network, which transfer learning freezes and gives rates of their own. Where they
// begin, the configured strides of the table say, dilated or not.

namespace mnv3 {

/// Stages as a type: `stages<stem, C1, C2>`.
template <Stage... Names>
struct stages {
  static constexpr StageSet set{Names...};
};

/// The stage that `features.<feature>` is in.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L234-270 (`# C1` to `# C4`),
///         models/detection/backbone_utils.py L207-211.
constexpr Stage stage_at(const Definition& net, int feature) {
  int stage = 0;
  for (int i = 1; i <= feature && is_block(net, i); ++i) stage += row_of(net, i).stride != 1;
  if (feature > 0 && !is_block(net, feature)) ++stage;
  return std::min(static_cast<Stage>(stage), C9);  // which no picture of less than 1024 pixels has
}

/// The last stage that has features: in Large and Small C5, the closing convolution.
constexpr Stage last_stage(const Definition& net) { return stage_at(net, feature_count(net) - 1); }

/// The features [begin, end).
struct FeatureRange {
  int begin = 0;
  int end = 0;

  friend constexpr bool operator==(const FeatureRange&, const FeatureRange&) = default;
};

/// The features of a stage; none of `classifier` and of stages that the network does not have.
constexpr FeatureRange features_of(const Definition& net, Stage stage) {
  FeatureRange range;
  const int count = feature_count(net);
  while (range.begin < count && stage_at(net, range.begin) != stage) ++range.begin;
  range.end = range.begin;
  while (range.end < count && stage_at(net, range.end) == stage) ++range.end;
  return range.begin < count ? range : FeatureRange{};
}

/// Whether a network that is as long as its architecture has this stage.
constexpr bool has_stage(const Definition& net, Stage stage) {
  return stage == Stage::classifier || stage <= last_stage(net);
}

}  // namespace mnv3
