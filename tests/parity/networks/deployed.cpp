// SPDX-License-Identifier: MIT
// What is deployed as well, with taps: MobileNetV2, a LCNet, and one table with all that no
// published network has together.

#include <array>

#include <parity/networks.hpp>

namespace parity {

namespace {

using namespace mnv3;

template <Norm How>
struct Novel {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE6, {2, 1}},
      {16, 5, 48, 24, true, SiLU, {1, 2}},
      {24, 3, 72, 24, false, none, 1},
      {.input_channels = 24,
       .kernel = 3,
       .expanded_channels = 24,
       .out_channels = 24,
       .use_se = true,
       .activation = HS,
       .stride = 1,
       .expands_always = true,
       .projection_activation = RE6},
      {.input_channels = 24,
       .kernel = 5,
       .expanded_channels = 24,
       .out_channels = 40,
       .use_se = true,
       .activation = RE,
       .stride = 2,
       .projection_activation = SiLU},
      {.input_channels = 40,
       .kernel = 3,
       .expanded_channels = 120,
       .out_channels = 40,
       .use_se = false,
       .activation = SiLU,
       .stride = 1,
       .dilation = 2,
       .residual = false},
  });
  static constexpr Settings settings{
      .num_classes = 10,
      .last_channel = 48,
      .norm = How,
      .squeeze{
          .divisor = 1, .block_activation = true, .gate = Gate::hardsigmoid_slope_0_2, .ratio = 3},
      .activation = SiLU,
      .closing_channels = 96,
      .pooling = Pooling::avgmax,
  };
};

using AllOfV2 = taps<after<1>, after<3>, after<6>, after<13>, after<17>, after<18>, logits>;
using AllOfLCNet = taps<after<0>, after<3>, after<11>, after<13>, pooled, embedding, logits>;
using AllOfNovel = taps<after<0>, after<1>, after<2>, after<3>, after<4>, after<5>, after<6>,
                        after<7>, pooled, embedding, logits>;

}  // namespace

Networks deployed_networks() {
  return {
      {"novel", network<Novel<Norm::frozen_batch>>()},
      {"mobilenet_v2_all", deployable_network<MobileNetV2Arch, AllOfV2>()},
      {"lcnet_all", deployable_network<timm::lcnet_050, AllOfLCNet>()},
      {"novel_all", bfloat16_network<Novel<Norm::frozen_batch>, AllOfNovel>()},
      {"novel_group_all", deployable_network<Novel<Norm::group>, AllOfNovel>()},
      {"novel_none_all", deployable_network<Novel<Norm::none>, AllOfNovel>()},
  };
}

}  // namespace parity
