// SPDX-License-Identifier: MIT
#include <mnv3/config/stages.hpp>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/costs.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/timm.hpp>
#include <mnv3/config/transform.hpp>

namespace {

using namespace mnv3;

constexpr bool is(const Definition& net, Stage stage, int begin, int end) {
  return features_of(net, stage) == FeatureRange{begin, end};
}

// torchvision 0.14.1 models/detection/backbone_utils.py L207: `[0] + [i for i, b in
// enumerate(backbone) if b._is_cn] + [len(backbone) - 1]` gives 0, 2, 4, 7, 13, 16 for Large, and
// for Small 0, 1, 2, 4, 9, 12.
constexpr const Definition& large = definition_of<LargeArch>;
static_assert(is(large, stem, 0, 2) && is(large, C1, 2, 4) && is(large, C2, 4, 7));
static_assert(is(large, C3, 7, 13) && is(large, C4, 13, 16) && is(large, C5, 16, 17));
constexpr const Definition& small = definition_of<SmallArch>;
static_assert(is(small, stem, 0, 1) && is(small, C1, 1, 2) && is(small, C2, 2, 4));
static_assert(is(small, C3, 4, 9) && is(small, C4, 9, 12) && is(small, C5, 12, 13));
// Configured strides: a dilated stage is one.
static_assert(is(definition_of<RvmArch>, C4, 13, 16) && is(definition_of<RvmArch>, C5, 16, 17));
static_assert(is(definition_of<Dilated<SmallArch>>, C4, 9, 12));

static_assert(last_stage(large) == C5 && has_stage(large, classifier) && !has_stage(large, C6));
static_assert(is(large, C6, 0, 0) && is(large, classifier, 0, 0), "no features");
static_assert(stage_at(large, 0) == stem && stage_at(large, 16) == C5);

// Each feature is in one stage, and stages are in order, whatever the table.
constexpr bool is_partition(const Definition& net) {
  int next = 0;
  for (const Stage stage : all_stages) {
    const FeatureRange range = features_of(net, stage);
    if (range == FeatureRange{}) continue;
    if (range.begin != next) return false;
    next = range.end;
  }
  return next == feature_count(net);
}
static_assert(is_partition(large) && is_partition(small));
static_assert(is_partition(definition_of<MobileNetV2Arch>));
static_assert(is_partition(definition_of<timm::lcnet_100>));

// More strides than there are names: the last name has the rest.
constexpr auto steep = [] {
  std::array<InvertedResidualConfig, 12> rows{};
  for (auto& row : rows) row = {8, 3, 8, 8, false, Activation::RE, 2};
  return rows;
}();
static_assert(last_stage(Definition{steep}) == C9 && is_partition(Definition{steep}));

// Sets of stages.
constexpr StageSet ends{stem, classifier};
static_assert(ends.contains(stem) && ends.contains(classifier) && !ends.contains(C1));
static_assert((ends | StageSet{C1}).contains(C1) && StageSet{}.empty() && !ends.empty());
static_assert(stages<stem, C1>::set == StageSet{C1, stem});

// Frozen stages are a setting, which adds up and is inherited; they are no other weights.
using Twice = Frozen<Frozen<SmallArch, stem>, C1>;
static_assert(definition_of<Twice>.settings.frozen.value() == StageSet{stem, C1});
static_assert(definition_of<WithClasses<Twice, 10>>.settings.frozen.value() == StageSet{stem, C1});
static_assert(keys<Twice>.size() == keys<SmallArch>.size());
static_assert(parameter_count<Twice>() == parameter_count<SmallArch>());
static_assert(check_checkpoint(definition_of<Twice>, small).ok());
static_assert(check(definition_of<Frozen<SmallArch, C7>>) ==
              Verdict{Rule::frozen_exists, -1, 7, 5});

// The number of classes.
static_assert(definition_of<WithClasses<SmallArch, 7>>.settings.num_classes == 7);
static_assert(definition_of<WithClasses<SmallArch>>.settings.num_classes == dynamic_classes);
static_assert(parameter_count<SmallArch>() - parameter_count<WithClasses<SmallArch, 10>>() ==
              990 * (1024 + 1));
static_assert(check(definition_of<WithClasses<SmallArch>>).ok());
static_assert(check(definition_of<WithClasses<SmallArch, -2>>).rule == Rule::num_classes_positive);
static_assert(parameter_count<WithClasses<SmallArch>, taps<embedding>>() ==
                  parameter_count<SmallArch, taps<embedding>>(),
              "what ends before the logits is known");

}  // namespace
