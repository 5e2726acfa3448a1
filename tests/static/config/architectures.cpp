// SPDX-License-Identifier: MIT
#include <mnv3/config/architectures.hpp>

#include <array>
#include <cstddef>

#include <mnv3/config/arch.hpp>

namespace {

using mnv3::definition_of;
using mnv3::LargeArch;
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
