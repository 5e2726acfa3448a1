// SPDX-License-Identifier: MIT
#include <mnv3/config/block.hpp>

#include <limits>
#include <type_traits>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/channels.hpp>

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

// The ninth column is torchvision's `width_mult`, which it writes as a number of any kind. What the
// adjusted counts are was read off torchvision 0.14.1's own `InvertedResidualConfig`.
constexpr InvertedResidualConfig plain{40, 5, 240, 48, true, Activation::HS, 1, 1};
constexpr InvertedResidualConfig with_int{40, 5, 240, 48, true, Activation::HS, 1, 1, 1};
constexpr InvertedResidualConfig with_double{40, 5, 240, 48, true, Activation::HS, 1, 1, 1.0};
static_assert(with_int == plain && with_double == plain);
static_assert(adjusted(plain) == plain);
constexpr InvertedResidualConfig at_width(double width) {
  return mnv3::adjusted({40, 5, 240, 48, true, Activation::HS, 1, 1, width});
}
static_assert(at_width(0.75) == InvertedResidualConfig{32, 5, 184, 40, true, Activation::HS, 1, 1});
static_assert(at_width(0.5) == InvertedResidualConfig{24, 5, 120, 24, true, Activation::HS, 1, 1});
static_assert(at_width(1.25) == InvertedResidualConfig{48, 5, 304, 64, true, Activation::HS, 1, 1});
static_assert(at_width(0).width_mult == 0, "refused by a rule, not adjusted");
static_assert(at_width(-1).width_mult == -1);

// Our own fields follow: what a row that says nothing of them has.
static_assert(plain.residual && !plain.expands_always);
static_assert(plain.projection_activation == Activation::none);

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

constexpr InvertedResidualConfig always{40, 5, 40, 40, true, Activation::HS, 1, 1, 1.0, true, true};
static_assert(has_expansion(always), "a convolution that does not widen");
static_assert(slots_of(always).expansion == 0);

// A residual needs stride 1 and the same width on both sides.
static_assert(has_residual(mnv3::LargeArch::blocks[0]));
static_assert(!has_residual(mnv3::LargeArch::blocks[1]));
static_assert(has_residual(mnv3::LargeArch::blocks[2]));
static_assert(!has_residual(mnv3::LargeArch::blocks[10]), "80 to 112 channels, at stride 1");
static_assert(!has_residual(mnv3::SmallArch::blocks[0]), "16 to 16 channels, at stride 2");

// Along both axes, and unless the row says that it has none.
constexpr InvertedResidualConfig with_stride(mnv3::Stride stride) {
  return {40, 5, 240, 40, true, Activation::HS, stride};
}
static_assert(has_residual(with_stride(1)));
static_assert(!has_residual(with_stride({2, 1})) && !has_residual(with_stride({1, 2})));
static_assert(depthwise_stride(with_stride({2, 1})) == mnv3::Stride{2, 1});
constexpr bool has_residual_without_residual() {
  InvertedResidualConfig row = with_stride(1);
  row.residual = false;
  return has_residual(row);
}
static_assert(!has_residual_without_residual());

// The configured stride decides about the residual, also where dilation replaces the stride.
constexpr InvertedResidualConfig dilated_first{160, 5, 960, 160, true, Activation::HS, 2, 2};
static_assert(depthwise_stride(dilated_first) == 1);
static_assert(!has_residual(dilated_first));
constexpr InvertedResidualConfig dilated_second{160, 5, 960, 160, true, Activation::HS, 1, 2};
static_assert(depthwise_stride(dilated_second) == 1);
static_assert(has_residual(dilated_second));
static_assert(depthwise_stride(pasted) == 2);

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

// A factor beyond all channels ends beyond what the rules allow, without overflowing.
constexpr int widened(double factor) {
  InvertedResidualConfig row = pasted;
  row.width_mult = factor;
  return adjusted(row).out_channels;
}
static_assert(widened(1e10) > mnv3::most_channels);
static_assert(widened(std::numeric_limits<double>::infinity()) > mnv3::most_channels);

}  // namespace
