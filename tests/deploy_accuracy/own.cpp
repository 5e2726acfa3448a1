// SPDX-License-Identifier: MIT
#include "deploy_accuracy/subject.hpp"

namespace accuracy {

using namespace mnv3;

namespace {

// What the kernels must not take for granted: channels that fill no vector, blocks without
// expansion, dilation, a kernel of 7.
struct OddArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {5, 3, 5, 5, true, RE, 1},
      {5, 3, 21, 13, false, HS, 2},
      {13, 7, 40, 13, true, HS, 1},
      {13, 5, 40, 24, false, RE, 2, 2},
      {24, 3, 50, 24, true, RE, 1, 3},
  });
  static constexpr Settings settings{.input{.channels = 4}, .num_classes = 7, .last_channel = 33};
};
using AllOfOdd = taps<after<0>, after<1>, expansion<2>, after<2>, after<3>, expansion<4>, after<4>,
                      after<5>, after<6>, embedding, logits>;

// The same with every convention that is not torchvision's.
struct UnconventionalArch : OddArch {
  static constexpr auto blocks = [] {
    auto rows = OddArch::blocks;
    rows[0].expands_always = true;
    rows[2].residual = false;
    return rows;
  }();
  static constexpr Settings settings{
      .padding = Padding::same,
      .squeeze{.divisor = 1, .block_activation = true, .gate = Gate::sigmoid},
      .activation = RE,
      .closing_layers = 2,
      .hidden_bias = false};
};
using AllOfUnconventional = taps<after<0>, expansion<1>, after<1>, after<2>, after<3>, expansion<4>,
                                 after<4>, after<5>, after<6>, after<7>, embedding, logits>;

// One grey channel, normalised inside; 32 and 17 channels; stride 2 at once, with 7x7.
struct GreyArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {8, 7, 8, 17, false, HS, 2},
      {17, 5, 17, 17, true, RE, 1, 2},
      {17, 3, 72, 32, true, HS, 2, 4},
      {32, 5, 32, 32, false, RE, 1},
      {32, 1, 48, 8, false, HS, 1},
  });
  static constexpr std::array<double, 1> mean{0.45}, std{0.225};
  static constexpr Settings settings{
      .input{.channels = 1, .mean = mean, .std = std}, .num_classes = 1, .last_channel = 1};
};

}  // namespace

Subjects own_subjects() {
  Subjects all;
  all.push_back(subject<OddArch, AllOfOdd>("odd channels, all taps"));
  all.push_back(subject<OddArch>("odd channels"));
  all.push_back(subject<UnconventionalArch, AllOfUnconventional>("other conventions, all taps"));
  all.push_back(
      subject<GreyArch, taps<expansion<3>, after<3>, expansion<5>, after<6>, logits>>("grey"));
  all.push_back(subject<GreyArch, taps<after<0>, expansion<5>>>("grey, ends in a block"));
  return all;
}

}  // namespace accuracy
