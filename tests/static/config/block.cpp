// SPDX-License-Identifier: MIT
#include <mnv3/config/block.hpp>

#include <type_traits>

#include <mnv3/config/architectures.hpp>

namespace {

using mnv3::Activation;
using mnv3::InvertedResidualConfig;

// torchvision's order of arguments, so that a row pasted from Python means the same.
constexpr InvertedResidualConfig pasted{24, 5, 72, 40, true, Activation::RE, 2, 1};
static_assert(pasted.input_channels == 24);
static_assert(pasted.kernel == 5);
static_assert(pasted.expanded_channels == 72);
static_assert(pasted.out_channels == 40);
static_assert(pasted.use_se);
static_assert(pasted.activation == Activation::RE);
static_assert(pasted.stride == 2);
static_assert(pasted.dilation == 1);
static_assert(InvertedResidualConfig{24, 5, 72, 40, true, Activation::RE, 2} == pasted,
              "a row without dilation is not dilated");

// A row can be a template argument: equal rows are one type.
template <InvertedResidualConfig Row>
struct Block {};
static_assert(std::is_same_v<Block<mnv3::LargeArch::blocks[4]>, Block<mnv3::LargeArch::blocks[5]>>);
static_assert(
    !std::is_same_v<Block<mnv3::LargeArch::blocks[3]>, Block<mnv3::LargeArch::blocks[4]>>);

// No expansion only where it would keep the width.
static_assert(!has_expansion(mnv3::LargeArch::blocks[0]));
static_assert(has_expansion(mnv3::LargeArch::blocks[1]));
static_assert(!has_expansion(mnv3::SmallArch::blocks[0]));
static_assert(has_expansion(mnv3::SmallArch::blocks[1]));

// A residual needs stride 1 and the same width on both sides.
static_assert(has_residual(mnv3::LargeArch::blocks[0]));
static_assert(!has_residual(mnv3::LargeArch::blocks[1]));
static_assert(has_residual(mnv3::LargeArch::blocks[2]));
static_assert(!has_residual(mnv3::LargeArch::blocks[10]), "80 to 112 channels, at stride 1");
static_assert(!has_residual(mnv3::SmallArch::blocks[0]), "16 to 16 channels, at stride 2");

// The configured stride decides about the residual, also where dilation replaces the stride.
constexpr InvertedResidualConfig dilated_first{160, 5, 960, 160, true, Activation::HS, 2, 2};
static_assert(depthwise_stride(dilated_first) == 1);
static_assert(!has_residual(dilated_first));
constexpr InvertedResidualConfig dilated_second{160, 5, 960, 160, true, Activation::HS, 1, 2};
static_assert(depthwise_stride(dilated_second) == 1);
static_assert(has_residual(dilated_second));
static_assert(depthwise_stride(pasted) == 2);

// Squeezing divides first and rounds then, to at least 8.
static_assert(squeeze_channels(mnv3::SmallArch::blocks[0]) == 8, "16 // 4 is 4, rounded up to 8");
static_assert(squeeze_channels(pasted) == 24, "72 // 4 is 18, which must not fall to 16");
static_assert(squeeze_channels(mnv3::LargeArch::blocks[4]) == 32, "120 // 4 is 30");
static_assert(squeeze_channels(mnv3::LargeArch::blocks[14]) == 240);
static_assert(mnv3::squeeze_channels({40, 5, 107, 40, true, Activation::RE, 1}) == 24,
              "107 // 4 is 26, which is 24 after rounding; 26.75 would be 32");

// Children are numbered without gaps, whatever is absent.
constexpr bool same(const mnv3::BlockSlots& a, int expansion, int depthwise, int squeeze,
                    int projection) {
  return a.expansion == expansion && a.depthwise == depthwise && a.squeeze == squeeze &&
         a.projection == projection;
}
static_assert(same(slots_of(mnv3::LargeArch::blocks[0]), -1, 0, -1, 1), "neither");
static_assert(same(slots_of(mnv3::SmallArch::blocks[0]), -1, 0, 1, 2), "squeeze only");
static_assert(same(slots_of(mnv3::LargeArch::blocks[1]), 0, 1, -1, 2), "expansion only");
static_assert(same(slots_of(mnv3::LargeArch::blocks[3]), 0, 1, 2, 3), "both");

}  // namespace
