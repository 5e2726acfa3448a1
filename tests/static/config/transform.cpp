// SPDX-License-Identifier: MIT
#include <mnv3/config/transform.hpp>

#include <array>
#include <ratio>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/rules.hpp>

// The expected tables are what torchvision 0.14.1's `_mobilenet_v3_conf` returns.

namespace {

using namespace mnv3;  // a test of nearly every name in the header
using Row = InvertedResidualConfig;
using enum Activation;

// dilated=True: the last stage, its first row included, which keeps its stride.
static_assert(Dilated<LargeArch>::blocks[11] == LargeArch::blocks[11]);
static_assert(Dilated<LargeArch>::blocks[12] == Row{112, 5, 672, 160, true, HS, 2, 2});
static_assert(Dilated<LargeArch>::blocks[13] == Row{160, 5, 960, 160, true, HS, 1, 2});
static_assert(Dilated<LargeArch>::blocks[14] == Row{160, 5, 960, 160, true, HS, 1, 2});
static_assert(Dilated<SmallArch>::blocks[7] == SmallArch::blocks[7]);
static_assert(Dilated<SmallArch>::blocks[8] == Row{48, 5, 288, 96, true, HS, 2, 2});
static_assert(Dilated<SmallArch>::blocks[10] == Row{96, 5, 576, 96, true, HS, 1, 2});
static_assert(definition_of<Dilated<SmallArch>>.settings.last_channel == 1024);

// reduced_tail=True: from the output of the last stage's first row on.
static_assert(ReducedTail<LargeArch>::blocks[11] == LargeArch::blocks[11]);
static_assert(ReducedTail<LargeArch>::blocks[12] == Row{112, 5, 672, 80, true, HS, 2, 1});
static_assert(ReducedTail<LargeArch>::blocks[13] == Row{80, 5, 480, 80, true, HS, 1, 1});
static_assert(ReducedTail<LargeArch>::blocks[14] == Row{80, 5, 480, 80, true, HS, 1, 1});
static_assert(ReducedTail<SmallArch>::blocks[8] == Row{48, 5, 288, 48, true, HS, 2, 1});
static_assert(ReducedTail<SmallArch>::blocks[10] == Row{48, 5, 288, 48, true, HS, 1, 1});
static_assert(ReducedTail<LargeArch>::last_channel == 640);
static_assert(ReducedTail<SmallArch>::last_channel == 512);

// Both, in either order.
static_assert(Dilated<ReducedTail<LargeArch>>::blocks == ReducedTail<Dilated<LargeArch>>::blocks);
static_assert(Dilated<ReducedTail<LargeArch>>::blocks[13] == Row{80, 5, 480, 80, true, HS, 1, 2});
static_assert(definition_of<Dilated<ReducedTail<LargeArch>>>.settings.last_channel == 640);

// width_mult=0.75: every count rounded on its own. 0.75 * 24 is 18, which goes up to 24.
struct Widths {
  int in;
  int expanded;
  int out;
};
template <std::size_t N>
constexpr int first_wrong(const std::array<Row, N>& rows, const std::array<Widths, N>& widths) {
  for (std::size_t i = 0; i < N; ++i)
    if (rows[i].input_channels != widths[i].in || rows[i].expanded_channels != widths[i].expanded ||
        rows[i].out_channels != widths[i].out)
      return static_cast<int>(i);
  return -1;  // none
}
using ThreeQuarters = std::ratio<3, 4>;
static_assert(first_wrong(WidthMult<LargeArch, ThreeQuarters>::blocks,
                          std::to_array<Widths>({{16, 16, 16},
                                                 {16, 48, 24},
                                                 {24, 56, 24},
                                                 {24, 56, 32},
                                                 {32, 88, 32},
                                                 {32, 88, 32},
                                                 {32, 184, 64},
                                                 {64, 152, 64},
                                                 {64, 136, 64},
                                                 {64, 136, 64},
                                                 {64, 360, 88},
                                                 {88, 504, 88},
                                                 {88, 504, 120},
                                                 {120, 720, 120},
                                                 {120, 720, 120}})) == -1);
static_assert(first_wrong(WidthMult<SmallArch, ThreeQuarters>::blocks,
                          std::to_array<Widths>({{16, 16, 16},
                                                 {16, 56, 24},
                                                 {24, 64, 24},
                                                 {24, 72, 32},
                                                 {32, 184, 32},
                                                 {32, 184, 32},
                                                 {32, 88, 40},
                                                 {40, 112, 40},
                                                 {40, 216, 72},
                                                 {72, 432, 72},
                                                 {72, 432, 72}})) == -1);
static_assert(WidthMult<LargeArch, ThreeQuarters>::blocks[1].kernel == 3);
static_assert(WidthMult<LargeArch, ThreeQuarters>::blocks[1].stride == 2);
static_assert(WidthMult<LargeArch, ThreeQuarters>::last_channel == 960);
static_assert(WidthMult<LargeArch, std::ratio<35, 100>>::last_channel == 448);
static_assert(WidthMult<SmallArch, std::ratio<35, 100>>::last_channel == 360);
static_assert(WidthMult<SmallArch, std::ratio<5, 4>>::last_channel == 1280);
static_assert(WidthMult<LargeArch, std::ratio<1>>::blocks == LargeArch::blocks);

// A reduced tail is halved before it is multiplied and rounded.
using ReducedThreeQuarters = WidthMult<ReducedTail<LargeArch>, ThreeQuarters>;
static_assert(ReducedThreeQuarters::blocks[12] == Row{88, 5, 504, 64, true, HS, 2, 1});
static_assert(ReducedThreeQuarters::blocks[13] == Row{64, 5, 360, 64, true, HS, 1, 1});
static_assert(ReducedThreeQuarters::last_channel == 480);

// What comes out is legal.
static_assert(check(definition_of<Dilated<SmallArch>>).ok());
static_assert(check(definition_of<ReducedTail<SmallArch>>).ok());
static_assert(check(definition_of<WidthMult<SmallArch, std::ratio<35, 100>>>).ok());
static_assert(check(definition_of<WidthMult<LargeArch, std::ratio<5, 4>>>).ok());
static_assert(check(definition_of<ReducedThreeQuarters>).ok());

// Other settings stay, whatever is wrapped around them.
struct Grey : SmallArch {
  static constexpr Input input{.channels = 1};
  static constexpr int num_classes = 7;
};
constexpr Settings wrapped =
    definition_of<WidthMult<Dilated<ReducedTail<Grey>>, ThreeQuarters>>.settings;
static_assert(wrapped.input.channels == 1);
static_assert(wrapped.num_classes == 7);
static_assert(wrapped.last_channel == 384);

// An architecture without `last_channel` has 1280 to multiply.
struct Short {
  static constexpr std::array blocks{Row{16, 3, 16, 16, false, RE, 2}};
};
static_assert(ReducedTail<Short>::last_channel == 640);
static_assert(WidthMult<Short, std::ratio<1, 2>>::last_channel == 640);

}  // namespace
