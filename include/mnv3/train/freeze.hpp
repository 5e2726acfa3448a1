// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/stages.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>

// What learns and what stays as it is. `train()` does not change it, `clone` copies it. Files do
// not have it: it is a matter of the program, as the optimizer is.

namespace mnv3 {

namespace train {

/// Whether a network with these taps has something of `stage`.
template <architecture Arch, class Taps>
constexpr bool reaches(Stage stage) {
  using Impl = MobileNetV3Impl<Arch, Taps>;
  if (stage == Stage::classifier) return Impl::has_classifier;
  const FeatureRange range = features_of(definition_of<Arch>, stage);
  return range.begin < range.end && range.begin < Impl::Features::Impl::count;
}

template <architecture Arch, class Taps, bool Thaws, Stage stage>
constexpr bool verify_stage() {
  constexpr bool thaws = Thaws && definition_of<Arch>.settings.frozen.value().contains(stage);
  return verify_part < Arch,
         !reaches<Arch, Taps>(stage) ? Rule::stage_exists
         : thaws                     ? Rule::stage_thaws
                                     : Rule::none,
         stage > ();
}

/// Freezes a stage, or the contrary, what is not so already; nothing where the network ends before
/// it.
template <class Arch, class Taps>
void set_frozen(MobileNetV3<Arch, Taps>& net, Stage stage, bool on) {
  using Impl = MobileNetV3Impl<Arch, Taps>;
  if (!reaches<Arch, Taps>(stage)) return;
  if (stage == Stage::classifier) {
    if constexpr (Impl::has_classifier) {
      if (net->classifier->is_frozen() == on) return;
      if (on)
        net->classifier->freeze();
      else
        net->classifier->unfreeze(net->is_training());
    }
    return;
  }
  const FeatureRange range = features_of(definition_of<Arch>, stage);
  for (int i = range.begin; i < std::min(range.end, Impl::Features::Impl::count); ++i) {
    if (net->features->is_frozen(i) == on) continue;
    if (on)
      net->features->freeze(i, i + 1);
    else
      net->features->unfreeze(i, i + 1);
  }
}

}  // namespace train

/// Keeps these stages as they are: `freeze(net, stages<stem, C1, C2>{})`. Their parameters get no
/// gradients and lose those they have, their batch norm neither learns nor moves, and their dropout
/// and drop path do nothing, whatever `train()` of the network or of what contains it says, until
/// `unfreeze`. Copies (`clone`) are frozen
/// alike. Stages that the network does not have are refused by the compiler.
template <class Arch, class Taps, Stage... Stages>
void freeze(MobileNetV3<Arch, Taps>& net, stages<Stages...>) {
  static_assert((train::verify_stage<Arch, Taps, false, Stages>() && ...));
  (train::set_frozen(net, Stages, true), ...);
}

/// The contrary of `freeze`: all parameters of what is frozen in these stages learn again. Stages
/// that are frozen in the type are refused by the compiler.
template <class Arch, class Taps, Stage... Stages>
void unfreeze(MobileNetV3<Arch, Taps>& net, stages<Stages...>) {
  static_assert((train::verify_stage<Arch, Taps, true, Stages>() && ...));
  (train::set_frozen(net, Stages, false), ...);
}

/// The same for `features.<begin>` to `features.<end - 1>`, whatever their stages.
///
/// Errors  c10::IndexError if the network does not have them.
template <class Arch, class Taps>
void freeze(MobileNetV3<Arch, Taps>& net, std::int64_t begin, std::int64_t end) {
  net->features->freeze(begin, end);
}
/// Errors  As `freeze`; c10::Error if one of them is frozen in the type.
template <class Arch, class Taps>
void unfreeze(MobileNetV3<Arch, Taps>& net, std::int64_t begin, std::int64_t end) {
  net->features->unfreeze(begin, end);
}

/// Freezes all features, so that only the classifier learns.
template <class Arch, class Taps>
void freeze_features(MobileNetV3<Arch, Taps>& net) {
  net->features->freeze(0, static_cast<std::int64_t>(net->features->size()));
}

/// From `epoch` on, `stages` learn.
struct Unfreezing {
  std::int64_t epoch = 0;
  StageSet stages{};
};

/// Freezes and unfreezes as it has to be in `epoch`, which alone decides it, so that a training
/// that is resumed does the same: what the schedule names for this epoch or an earlier one learns,
/// what it names for later ones is frozen, and what it does not name stays as it is.
///
/// Returns whether anything has changed.
///
/// Errors  c10::Error if it names stages that this network does not have, or that are frozen in its
///         type; nothing is changed then.
template <class Arch, class Taps>
bool unfreeze_by(MobileNetV3<Arch, Taps>& net, std::span<const Unfreezing> schedule,
                 std::int64_t epoch) {
  StageSet learning, named;
  for (const Unfreezing& step : schedule) {
    named = named | step.stages;
    if (step.epoch <= epoch) learning = learning | step.stages;
  }
  for (const Stage stage : all_stages) {
    if (!named.contains(stage)) continue;
    TORCH_CHECK((train::reaches<Arch, Taps>(stage)), "mnv3: the schedule names the stage ",
                name_of(stage), ", which this network does not have; its last one is ",
                name_of(last_stage(definition_of<Arch>)), " at most, then the classifier");
    TORCH_CHECK(!definition_of<Arch>.settings.frozen.value().contains(stage),
                "mnv3: the schedule names the stage ", name_of(stage),
                ", which is frozen in the type of this network; leave it out of one of them");
  }
  const auto learn = [&] {
    std::vector<bool> flags;
    for (const torch::Tensor& parameter : net->parameters())
      flags.push_back(parameter.requires_grad());
    return flags;
  };
  const std::vector<bool> before = learn();
  for (const Stage stage : all_stages)
    if (named.contains(stage)) train::set_frozen(net, stage, !learning.contains(stage));
  return learn() != before;
}

/// Sets the probability that training drops what a block adds to its input, growing from 0 in the
/// first block by equal steps, so that the block after the last would have `rate`. 0: nothing is
/// dropped. Blocks without a residual have nothing to drop; blocks of the architecture's own are
/// left alone.
///
/// Errors  c10::Error if `rate` is not from 0 to below 1.
/// Source  timm 1.0.29 models/_efficientnet_builder.py (`drop_path_rate * block_idx / total`);
///         torchvision 0.14.1 models/efficientnet.py L277.
template <class Arch, class Taps>
void set_drop_path(MobileNetV3<Arch, Taps>& net, double rate) {
  TORCH_CHECK(rate >= 0 && rate < 1,
              "mnv3: the rate of drop path is a probability from 0 to below 1, but was given ",
              rate);
  const double blocks = static_cast<double>(definition_of<Arch>.blocks.size());
  for (std::size_t i = 1; i < net->features->size(); ++i)
    if (auto* block =
            net->features[static_cast<std::int64_t>(i)]->template as<InvertedResidualImpl>())
      block->drop_path = rate * static_cast<double>(i - 1) / blocks;
}

/// Whether training keeps of each block only its input and computes the rest again for gradients:
/// less memory for more time. Outputs and statistics are the same, gradients too, to rounding.
template <class Arch, class Taps>
void set_grad_checkpointing(MobileNetV3<Arch, Taps>& net, bool on = true) {
  net->features->grad_checkpointing = on;
}

}  // namespace mnv3
