// SPDX-License-Identifier: MIT
#include "deploy_accuracy/subject.hpp"

namespace accuracy {

using namespace mnv3;

namespace {

// Every activation in every place, strides that differ between the axes, a residual besides an
// activation after the projection, and what else MobileNetV3 itself does not have.
struct VariedArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, SiLU, {2, 1}, 1},
      {16, 5, 72, 24, false, RE6, {1, 2}, 1},
      {24, 3, 88, 24, true, none, 1, 1, 1.0, true, false, SiLU},
      {24, 5, 96, 40, true, HS, {2, 1}, 2},
      {40, 7, 120, 40, true, RE, {2, 2}, 1, 1.0, true, false, RE6},
  });
  static constexpr Settings settings{
      .num_classes = 10,
      .last_channel = 33,
      .squeeze{.block_activation = true, .gate = Gate::hardsigmoid_slope_0_2, .ratio = 2},
      .activation = SiLU,
      .closing_channels = 50,
      .pooling = Pooling::avgmax};
};
using AllOfVaried = taps<after<0>, after<1>, expansion<2>, after<2>, after<3>, expansion<4>,
                         after<4>, after<5>, after<6>, pooled, embedding, logits>;

// Nothing after the convolutions but activations; no hidden layer.
struct PlainArch : VariedArch {
  static constexpr Settings settings{
      .norm = Norm::none, .activation = RE6, .pooling = Pooling::max, .hidden_layer = false};
};

// What is pooled is the last block's, and read by the last Linear.
struct UnclosedArch : VariedArch {
  static constexpr Settings settings{
      .padding = Padding::same, .closing_layers = 0, .hidden_layer = false};
};

}  // namespace

Subjects variant_subjects() {
  Subjects all;
  all.push_back(subject<MobileNetV2Arch, taps<expansion<4>, after<7>, pooled, logits>>("V2"));
  all.push_back(subject<timm::lcnet_050, taps<after<4>, after<13>, embedding, logits>>("LCNet"));
  all.push_back(subject<VariedArch, AllOfVaried>("varied, all taps"));
  all.push_back(subject<PlainArch, taps<after<3>, after<6>, pooled, logits>>("no norm"));
  all.push_back(subject<UnclosedArch, taps<after<3>, embedding, logits>>("no closing layer"));
  return all;
}

}  // namespace accuracy
