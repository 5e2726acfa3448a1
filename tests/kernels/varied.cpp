// SPDX-License-Identifier: MIT
#include "kernels/subject.hpp"

namespace kernels {

using namespace mnv3;

namespace {

// What MobileNetV3 itself does not have: every activation in every place, strides that differ
// between the axes, a residual besides an activation after the projection.
struct VariedArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {11, 3, 11, 11, true, SiLU, {2, 1}},
      {11, 5, 37, 21, false, RE6, {1, 2}},
      {21, 3, 40, 21, true, none, 1, 1, 1.0, true, false, SiLU},
      {21, 9, 24, 13, true, HS, {2, 1}},
      {13, 3, 13, 13, false, RE, 1, 2, 1.0, true, true, HS},
      {13, 7, 52, 19, true, RE6, 2, 1, 1.0, true, false, RE},
      {19, 5, 30, 19, true, SiLU, {1, 2}, 3, 1.0, false, false, RE6},
  });
  static constexpr Settings settings{
      .num_classes = 10,
      .last_channel = 33,
      .squeeze{
          .divisor = 3, .block_activation = true, .gate = Gate::hardsigmoid_slope_0_2, .ratio = 2},
      .activation = SiLU,
      .closing_channels = 50,
      .pooling = Pooling::avgmax};
};
using AllOfVaried =
    taps<after<0>, after<1>, expansion<2>, after<2>, after<3>, expansion<4>, after<4>, after<5>,
         after<6>, after<7>, after<8>, pooled, embedding, logits>;

// The gate of the other two is the same: with the same functions they share most of what is
// compiled. What is squeezed becomes wider here.
struct UnhiddenArch {
  static constexpr auto blocks = VariedArch::blocks;
  static constexpr Settings settings{.num_classes = 10,
                                     .squeeze{.divisor = 128, .gate = Gate::hardsigmoid_slope_0_2},
                                     .activation = Activation::RE6,
                                     .closing_channels = 50,
                                     .pooling = Pooling::max,
                                     .hidden_layer = false};
};

// What is pooled is the last block's, and read by the last Linear.
struct UnclosedArch {
  static constexpr auto blocks = VariedArch::blocks;
  static constexpr Settings settings{.num_classes = 10,
                                     .padding = Padding::same,
                                     .squeeze{.gate = Gate::hardsigmoid_slope_0_2},
                                     .activation = Activation::none,
                                     .closing_layers = 0,
                                     .pooling = Pooling::avgmax,
                                     .hidden_layer = false};
};
using SomeOfUnclosed = taps<after<2>, after<4>, after<7>, pooled, logits>;

}  // namespace

std::unique_ptr<Subject> varied() {
  return std::make_unique<TypedSubject<VariedArch, AllOfVaried>>("varied");
}
std::unique_ptr<Subject> unhidden() {
  return std::make_unique<TypedSubject<UnhiddenArch, taps<pooled, logits>>>("no hidden layer");
}
std::unique_ptr<Subject> unclosed() {
  return std::make_unique<TypedSubject<UnclosedArch, SomeOfUnclosed>>("no closing layer");
}
std::unique_ptr<Subject> varied_in_bfloat16() {
  return std::make_unique<TypedSubject<VariedArch, AllOfVaried, mnv3::engine::Bfloat16>>(
      "varied, bfloat16");
}
std::unique_ptr<Subject> unclosed_in_bfloat16() {
  return std::make_unique<TypedSubject<UnclosedArch, SomeOfUnclosed, mnv3::engine::Bfloat16>>(
      "no closing layer, bfloat16");
}

}  // namespace kernels
