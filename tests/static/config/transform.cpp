// SPDX-License-Identifier: MIT
#include <mnv3/config/transform.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ratio>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/costs.hpp>
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
static_assert(definition_of<ReducedTail<LargeArch>>.settings.last_channel == 640);
static_assert(definition_of<ReducedTail<SmallArch>>.settings.last_channel == 512);

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
static_assert(definition_of<WidthMult<LargeArch, ThreeQuarters>>.settings.last_channel == 960);
static_assert(definition_of<WidthMult<LargeArch, std::ratio<35, 100>>>.settings.last_channel ==
              448);
static_assert(definition_of<WidthMult<SmallArch, std::ratio<35, 100>>>.settings.last_channel ==
              360);
static_assert(definition_of<WidthMult<SmallArch, std::ratio<5, 4>>>.settings.last_channel == 1280);
static_assert(WidthMult<LargeArch, std::ratio<1>>::blocks == LargeArch::blocks);

// A reduced tail is halved before it is multiplied and rounded.
using ReducedThreeQuarters = WidthMult<ReducedTail<LargeArch>, ThreeQuarters>;
static_assert(ReducedThreeQuarters::blocks[12] == Row{88, 5, 504, 64, true, HS, 2, 1});
static_assert(ReducedThreeQuarters::blocks[13] == Row{64, 5, 360, 64, true, HS, 1, 1});
static_assert(definition_of<ReducedThreeQuarters>.settings.last_channel == 480);

// What comes out is legal.
static_assert(check(definition_of<Dilated<SmallArch>>).ok());
static_assert(check(definition_of<ReducedTail<SmallArch>>).ok());
static_assert(check(definition_of<WidthMult<SmallArch, std::ratio<35, 100>>>).ok());
static_assert(check(definition_of<WidthMult<LargeArch, std::ratio<5, 4>>>).ok());
static_assert(check(definition_of<ReducedThreeQuarters>).ok());

// Other settings stay, whatever is wrapped around them.
struct Grey : SmallArch {
  static constexpr Settings settings{.input{.channels = 1}, .num_classes = 7};
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
static_assert(definition_of<ReducedTail<Short>>.settings.last_channel == 640);
static_assert(definition_of<WidthMult<Short, std::ratio<1, 2>>>.settings.last_channel == 640);

// Width rules: parameters, and multiply-accumulates in hundred thousands, of timm's and Keras's own
// networks; the paper's rule is checked against arXiv:1905.02244 Table 9, which has fewer digits.
template <class Arch, int Percent, WidthRule Rule>
constexpr bool costs_are(std::int64_t parameters, double million_macs) {
  using Scaled = WidthMult<Arch, std::ratio<Percent, 100>, Rule>;
  const double macs = static_cast<double>(mac_count<Scaled>(224, 224)) / 1e6;
  return parameter_count<Scaled>() == parameters && macs > million_macs - 0.05 &&
         macs < million_macs + 0.05;
}
using enum WidthRule;
static_assert(costs_are<LargeArch, 35, timm>(2'132'216, 43.9));
static_assert(costs_are<LargeArch, 50, timm>(2'689'904, 73.7));
static_assert(costs_are<LargeArch, 75, timm>(3'993'528, 154.6));
static_assert(costs_are<LargeArch, 100, timm>(5'483'032, 216.6));
static_assert(costs_are<LargeArch, 125, timm>(7'551'976, 355.2));
static_assert(costs_are<SmallArch, 50, timm>(1'593'224, 24.2));
static_assert(costs_are<SmallArch, 75, timm>(2'041'872, 43.4));
static_assert(costs_are<SmallArch, 100, timm>(2'542'856, 56.5));
static_assert(costs_are<SmallArch, 125, timm>(3'205'384, 90.8));
static_assert(costs_are<LargeArch, 35, tf>(2'132'216, 43.9));
static_assert(costs_are<LargeArch, 50, tf>(2'689'904, 73.7));
static_assert(costs_are<LargeArch, 75, tf>(3'993'528, 154.6));
static_assert(costs_are<LargeArch, 125, tf>(8'255'784, 349.9));
static_assert(costs_are<SmallArch, 50, tf>(1'593'224, 24.2));
static_assert(costs_are<SmallArch, 75, tf>(2'041'872, 43.4));
static_assert(costs_are<SmallArch, 125, tf>(3'645'312, 87.7));

template <class Arch, int Percent>
constexpr bool rounds_to(double million_parameters, int million_macs) {
  using Scaled = WidthMult<Arch, std::ratio<Percent, 100>, paper>;
  const double parameters = static_cast<double>(parameter_count<Scaled>()) / 1e6;
  const double macs = static_cast<double>(mac_count<Scaled>(224, 224)) / 1e6;
  return parameters > million_parameters - 0.1 && parameters < million_parameters + 0.1 &&
         macs > million_macs - 1 && macs < million_macs + 1;
}
static_assert(rounds_to<LargeArch, 35>(2.2, 40));
static_assert(rounds_to<LargeArch, 50>(2.6, 69));
static_assert(rounds_to<LargeArch, 75>(4.0, 155));
static_assert(rounds_to<LargeArch, 100>(5.4, 217));
static_assert(rounds_to<LargeArch, 125>(7.5, 356));
static_assert(rounds_to<SmallArch, 50>(1.6, 21));
static_assert(rounds_to<SmallArch, 75>(2.0, 44));
static_assert(rounds_to<SmallArch, 100>(2.5, 57));

// An expansion that the rounding leaves without widening stays a convolution, except where every
// count is rounded on its own, as torchvision does.
struct Narrow {
  static constexpr auto blocks = std::to_array<Row>({{16, 3, 16, 16, true, RE, 2},  //
                                                     {16, 3, 17, 16, false, RE, 1}});
};
template <WidthRule Rule>
constexpr Row narrowed = WidthMult<Narrow, std::ratio<1>, Rule>::blocks[1];
static_assert(narrowed<timm>.expanded_channels == 16 && has_expansion(narrowed<timm>));
static_assert(narrowed<tf>.expanded_channels == 16 && has_expansion(narrowed<tf>));
static_assert(narrowed<torchvision>.expanded_channels == 16);
static_assert(!has_expansion(narrowed<torchvision>));
static_assert(!has_expansion(WidthMult<Narrow, std::ratio<1>, timm>::blocks[0]));

// Output strides: facts of the three conventions, row by row.
template <class Arch, int Stride, DilationRule Rule>
constexpr bool runs_as(std::initializer_list<std::array<int, 2>> strides_and_dilations) {
  constexpr auto& rows = OutputStride<Arch, Stride, Rule>::blocks;
  return std::ranges::equal(rows, strides_and_dilations, [](const Row& row, const auto& expected) {
    return depthwise_stride(row) == expected[0] && row.dilation == expected[1];
  });
}
static_assert(OutputStride<LargeArch, 16, DilationRule::torchvision>::blocks ==
              Dilated<LargeArch>::blocks);
static_assert(OutputStride<SmallArch, 16, DilationRule::torchvision>::blocks ==
              Dilated<SmallArch>::blocks);
static_assert(OutputStride<LargeArch, 32, DilationRule::torchvision>::blocks == LargeArch::blocks);
static_assert(OutputStride<LargeArch, 32, DilationRule::timm>::blocks == LargeArch::blocks);
// timm: the first row of a stage has the dilation of those before it.
static_assert(runs_as<LargeArch, 16, DilationRule::timm>({{1, 1},
                                                          {2, 1},
                                                          {1, 1},
                                                          {2, 1},
                                                          {1, 1},
                                                          {1, 1},
                                                          {2, 1},
                                                          {1, 1},
                                                          {1, 1},
                                                          {1, 1},
                                                          {1, 1},
                                                          {1, 1},
                                                          {1, 1},
                                                          {1, 2},
                                                          {1, 2}}));
static_assert(runs_as<LargeArch, 8, DilationRule::timm>({{1, 1},
                                                         {2, 1},
                                                         {1, 1},
                                                         {2, 1},
                                                         {1, 1},
                                                         {1, 1},
                                                         {1, 1},
                                                         {1, 2},
                                                         {1, 2},
                                                         {1, 2},
                                                         {1, 2},
                                                         {1, 2},
                                                         {1, 2},
                                                         {1, 4},
                                                         {1, 4}}));
// mmsegmentation: 2 from the third stride on, 4 from the fourth.
static_assert(runs_as<LargeArch, 8, DilationRule::torchvision>({{1, 1},
                                                                {2, 1},
                                                                {1, 1},
                                                                {2, 1},
                                                                {1, 1},
                                                                {1, 1},
                                                                {1, 2},
                                                                {1, 2},
                                                                {1, 2},
                                                                {1, 2},
                                                                {1, 2},
                                                                {1, 2},
                                                                {1, 4},
                                                                {1, 4},
                                                                {1, 4}}));
static_assert(runs_as<SmallArch, 8, DilationRule::torchvision>(
    {{2, 1}, {2, 1}, {1, 1}, {1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 4}, {1, 4}, {1, 4}}));
// What ran at stride 2 has no residual for torchvision, and gets one from timm where one fits.
struct SameWidth {
  static constexpr auto blocks = std::to_array<Row>({{16, 3, 64, 16, false, RE, 2},
                                                     {16, 3, 64, 16, false, RE, 2},
                                                     {16, 3, 64, 16, false, RE, 2}});
};
static_assert(!has_residual(OutputStride<SameWidth, 8, DilationRule::torchvision>::blocks[2]));
static_assert(has_residual(OutputStride<SameWidth, 8, DilationRule::timm>::blocks[2]));
// Stages outlive their strides.
static_assert(stage_of(definition_of<OutputStride<LargeArch, 8, DilationRule::timm>>, 7) == 3);
static_assert(stage_of(definition_of<OutputStride<SameWidth, 8, DilationRule::timm>>, 3) == 2);

// A row that strides along one axis is where the last stage begins.
constexpr auto flat = std::to_array<Row>({{16, 3, 16, 16, false, RE, 2},
                                          {16, 3, 64, 24, false, RE, {2, 1}},
                                          {24, 3, 72, 24, false, RE, 1}});
static_assert(dilated(flat)[0].dilation == 1);
static_assert(dilated(flat)[1].dilation == 2 && dilated(flat)[2].dilation == 2);

// A row's own width is carried out before the network's.
constexpr auto narrow = std::to_array<Row>({{40, 5, 240, 48, true, HS, 1, 1, 0.75}});
static_assert(width_mult(narrow, 0.5)[0] == Row{16, 5, 96, 24, true, HS, 1},
              "half of 32, 184 and 40");

// WithActivation: in the blocks, after their projections and outside of them.
using ReLU6 = WithActivation<LargeArch, HS, RE6>;
static_assert(ReLU6::blocks[6] == Row{40, 3, 240, 80, false, RE6, 2, 1});
static_assert(ReLU6::blocks[5] == LargeArch::blocks[5], "it has ReLU");
static_assert(definition_of<ReLU6>.settings.activation == RE6);
static_assert(definition_of<WithActivation<LargeArch, RE, SiLU>>.settings.activation == HS);
static_assert(WithActivation<LargeArch, RE, SiLU>::blocks[5].activation == SiLU);
static_assert(WithActivation<LargeArch, RE, SiLU>::blocks[6].activation == HS);
struct Projecting : LargeArch {
  static constexpr auto blocks = [] {
    auto rows = LargeArch::blocks;
    rows[1].projection_activation = HS;
    return rows;
  }();
};
static_assert(WithActivation<Projecting, HS, RE6>::blocks[1].projection_activation == RE6);
static_assert(WithActivation<Projecting, HS, RE6>::blocks[2].projection_activation == none);
static_assert(check_checkpoint(definition_of<ReLU6>, definition_of<LargeArch>).rule ==
              Rule::same_activations);

// Minimalistic.
static_assert(Minimalistic<LargeArch>::blocks[3] == Row{24, 3, 72, 40, false, RE, 2, 1});
static_assert(Minimalistic<SmallArch>::blocks[0] == Row{16, 3, 16, 16, false, RE, 2, 1});
static_assert(definition_of<Minimalistic<SmallArch>>.settings.activation == RE);
static_assert(definition_of<SmallArch>.settings.activation == HS);

}  // namespace
