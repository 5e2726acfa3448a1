// SPDX-License-Identifier: MIT
#include <mnv3/config/architectures.hpp>

#include <array>
#include <cstddef>

#include <mnv3/config/arch.hpp>

namespace {

using mnv3::definition_of;
using mnv3::LargeArch;
using mnv3::MobileNetV2Arch;
using mnv3::RvmArch;
using mnv3::SmallArch;

// Shapes after every feature, for 224 x 224: read off torchvision 0.14.1, `features[:i + 1]`.
struct Output {
  int channels;
  int side;
};

template <std::size_t N>
constexpr int first_wrong(const mnv3::Definition& net, const std::array<Output, N>& outputs) {
  if (feature_count(net) != static_cast<int>(N)) return -2;
  for (int i = 0; i < static_cast<int>(N); ++i) {
    const Output& output = outputs[static_cast<std::size_t>(i)];
    if (output_channels(net, i) != output.channels ||
        224 / output_stride(net, i).height != output.side)
      return i;
  }
  return -1;  // none
}

static_assert(first_wrong(definition_of<LargeArch>, std::to_array<Output>({{16, 112},
                                                                           {16, 112},
                                                                           {24, 56},
                                                                           {24, 56},
                                                                           {40, 28},
                                                                           {40, 28},
                                                                           {40, 28},
                                                                           {80, 14},
                                                                           {80, 14},
                                                                           {80, 14},
                                                                           {80, 14},
                                                                           {112, 14},
                                                                           {112, 14},
                                                                           {160, 7},
                                                                           {160, 7},
                                                                           {160, 7},
                                                                           {960, 7}})) == -1);
static_assert(first_wrong(definition_of<SmallArch>, std::to_array<Output>({{16, 112},
                                                                           {16, 56},
                                                                           {24, 28},
                                                                           {24, 28},
                                                                           {40, 14},
                                                                           {40, 14},
                                                                           {40, 14},
                                                                           {48, 14},
                                                                           {48, 14},
                                                                           {96, 7},
                                                                           {96, 7},
                                                                           {96, 7},
                                                                           {576, 7}})) == -1);

static_assert(first_wrong(definition_of<MobileNetV2Arch>, std::to_array<Output>({{32, 112},
                                                                                 {16, 112},
                                                                                 {24, 56},
                                                                                 {24, 56},
                                                                                 {32, 28},
                                                                                 {32, 28},
                                                                                 {32, 28},
                                                                                 {64, 14},
                                                                                 {64, 14},
                                                                                 {64, 14},
                                                                                 {64, 14},
                                                                                 {96, 14},
                                                                                 {96, 14},
                                                                                 {96, 14},
                                                                                 {160, 7},
                                                                                 {160, 7},
                                                                                 {160, 7},
                                                                                 {320, 7},
                                                                                 {1280, 7}})) ==
              -1);

// MobileNetV2's rows are what torchvision makes of its `inverted_residual_setting`.
// Source  torchvision 0.14.1 models/mobilenetv2.py L104-113, L131-135.
struct Setting {
  int t, c, n, s;
};
constexpr auto inverted_residual_setting = std::to_array<Setting>({
    {1, 16, 1, 1},
    {6, 24, 2, 2},
    {6, 32, 3, 2},
    {6, 64, 4, 2},
    {6, 96, 3, 1},
    {6, 160, 3, 2},
    {6, 320, 1, 1},
});
constexpr bool rows_follow_from_setting() {
  int input_channel = 32;
  std::size_t row = 0;
  for (const Setting& setting : inverted_residual_setting)
    for (int i = 0; i < setting.n; ++i) {
      const mnv3::InvertedResidualConfig expected{input_channel,
                                                  3,
                                                  input_channel * setting.t,
                                                  setting.c,
                                                  false,
                                                  mnv3::Activation::RE6,
                                                  mnv3::Stride(i == 0 ? setting.s : 1)};
      if (MobileNetV2Arch::blocks[row++] != expected) return false;
      input_channel = setting.c;
    }
  return row == MobileNetV2Arch::blocks.size();
}
static_assert(rows_follow_from_setting());
constexpr const mnv3::Settings& v2 = definition_of<MobileNetV2Arch>.settings;
static_assert(norm_eps_of(v2) == 1e-5 && v2.norm_momentum == 0.1, "nn.BatchNorm2d's own");
static_assert(v2.activation == mnv3::Activation::RE6 && !v2.hidden_layer && v2.dropout == 0.2);
static_assert(v2.names == mnv3::Names::torchvision_mobilenet_v2);

static_assert(definition_of<LargeArch>.settings.last_channel == 1280);
static_assert(definition_of<SmallArch>.settings.last_channel == 1024);

// RobustVideoMatting's encoder is Large, but for the last three rows and the input.
// Source  RobustVideoMatting model/mobilenetv3.py L24-26.
static_assert(RvmArch::blocks.size() == LargeArch::blocks.size());
constexpr bool rvm_begins_as_large() {
  for (std::size_t i = 0; i < 12; ++i)
    if (RvmArch::blocks[i] != LargeArch::blocks[i]) return false;
  return true;
}
static_assert(rvm_begins_as_large());
using enum mnv3::Activation;
static_assert(RvmArch::blocks[12] ==
              mnv3::InvertedResidualConfig{112, 5, 672, 160, true, HS, 2, 2});
static_assert(RvmArch::blocks[13] ==
              mnv3::InvertedResidualConfig{160, 5, 960, 160, true, HS, 1, 2});
static_assert(RvmArch::blocks[14] ==
              mnv3::InvertedResidualConfig{160, 5, 960, 160, true, HS, 1, 2});
static_assert(output_stride(definition_of<RvmArch>, 12) == 16);
static_assert(output_stride(definition_of<RvmArch>, 13) == 16, "dilated instead of strided");
static_assert(output_stride(definition_of<RvmArch>, 16) == 16);
static_assert(definition_of<RvmArch>.settings.input.normalized_inside());
static_assert(!definition_of<LargeArch>.settings.input.normalized_inside());

}  // namespace
