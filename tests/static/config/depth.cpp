// SPDX-License-Identifier: MIT
#include <mnv3/config/depth.hpp>

#include <algorithm>
#include <array>
#include <ratio>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/timm.hpp>
#include <mnv3/config/transform.hpp>

// Whole networks of several depths are compared with timm's: tests/static/config/timm.cpp.

namespace {

using namespace mnv3;  // a test of nearly every name in the header
using Row = InvertedResidualConfig;
using enum Activation;

// timm's mobilenetv3_large_150d before its width multiplier, written by hand from its description
// `_gen_mobilenet_v3('mobilenetv3_large_150d', 1.5, depth_multiplier=1.2)`: each stage of n blocks
// has 1.2 n of them, rounded up.
// clang-format off
constexpr auto large_12 = std::to_array<Row>({
    // in, kernel, expand, out, SE, activation, stride, dilation
    { 16, 3,  16,  16, false, RE, 1, 1},
    { 16, 3,  16,  16, false, RE, 1, 1},
    { 16, 3,  64,  24, false, RE, 2, 1},  // stride 4
    { 24, 3,  72,  24, false, RE, 1, 1},
    { 24, 3,  72,  24, false, RE, 1, 1},
    { 24, 5,  72,  40, true,  RE, 2, 1},  // stride 8
    { 40, 5, 120,  40, true,  RE, 1, 1},
    { 40, 5, 120,  40, true,  RE, 1, 1},
    { 40, 5, 120,  40, true,  RE, 1, 1},
    { 40, 3, 240,  80, false, HS, 2, 1},  // stride 16
    { 80, 3, 200,  80, false, HS, 1, 1},
    { 80, 3, 200,  80, false, HS, 1, 1},
    { 80, 3, 184,  80, false, HS, 1, 1},
    { 80, 3, 184,  80, false, HS, 1, 1},
    { 80, 3, 480, 112, true,  HS, 1, 1},
    {112, 3, 672, 112, true,  HS, 1, 1},
    {112, 3, 672, 112, true,  HS, 1, 1},
    {112, 5, 672, 160, true,  HS, 2, 1},  // stride 32
    {160, 5, 960, 160, true,  HS, 1, 1},
    {160, 5, 960, 160, true,  HS, 1, 1},
    {160, 5, 960, 160, true,  HS, 1, 1},
});
// clang-format on
using Large12 = DepthMult<LargeArch, std::ratio<6, 5>>;
static_assert(std::ranges::equal(definition_of<Large12>.blocks, large_12));
static_assert(definition_of<Large12>.settings.closing_layers == 2);
static_assert(definition_of<DepthMult<LargeArch, std::ratio<1, 2>>>.settings.closing_layers == 1);

// A depth of 1 leaves all as it is.
static_assert(std::ranges::equal(definition_of<DepthMult<SmallArch, std::ratio<1>>>.blocks,
                                 SmallArch::blocks));

// The expansion of a repeated row is rounded: 4.5 times 24 is 108. timm has the same.
static_assert(definition_of<DepthMult<SmallArch, std::ratio<2>>>.blocks[3] ==
              Row{24, 3, 112, 24, false, RE, 1});

// Python's `round`: ties go to the even number.
static_assert(config::detail::rounded_ratio(1, 2) == 0);
static_assert(config::detail::rounded_ratio(3, 2) == 2);
static_assert(config::detail::rounded_ratio(5, 2) == 2);
static_assert(config::detail::rounded_ratio(7, 4) == 2);
static_assert(config::detail::rounded_ratio(5, 4) == 1);

// timm writes rows once that differ in nothing but the stride and the input.
constexpr Row first{24, 5, 72, 40, true, RE, 2};
constexpr Row second{40, 5, 120, 40, true, RE, 1};
constexpr bool repeats_after(auto Row::*field, auto value) {
  Row next = second;
  next.*field = value;
  return config::detail::repeats(first, next);
}
static_assert(config::detail::repeats(first, second));
static_assert(!repeats_after(&Row::stride, Stride(2)) &&
              !repeats_after(&Row::stride, Stride{1, 2}));
static_assert(!repeats_after(&Row::kernel, 3));
static_assert(!repeats_after(&Row::expanded_channels, 80));
static_assert(!repeats_after(&Row::out_channels, 48));
static_assert(!repeats_after(&Row::use_se, false));
static_assert(!repeats_after(&Row::activation, HS));
static_assert(!repeats_after(&Row::projection_activation, RE));
static_assert(!repeats_after(&Row::residual, false));

// Stages that an architecture gives are those of the deepened rows, too.
struct Staged : LargeArch {
  static constexpr std::array of_row{0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5};
  static constexpr Settings settings{.stages = of_row};
};
using Deeper = DepthMult<Staged, std::ratio<2>>;
static_assert(check(definition_of<Deeper>).ok());
static_assert(definition_of<Deeper>.blocks.size() == 30);
static_assert(definition_of<Deeper>.settings.stages[29] == 5);

static_assert(check(definition_of<DepthMult<timm::LCNet, std::ratio<2>>>).ok());

// A dilated row is no repetition of one that is not: once is what it was.
using Once = DepthMult<OutputStride<LargeArch, 16, DilationRule::timm>, std::ratio<1>>;
static_assert(std::ranges::equal(
    definition_of<Once>.blocks,
    definition_of<OutputStride<LargeArch, 16, DilationRule::timm>>.blocks));

}  // namespace
