// SPDX-License-Identifier: MIT
#include <mnv3/config/taps.hpp>

#include <array>
#include <type_traits>

#include <mnv3/config/architectures.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

template <class Arch, class Tap>
constexpr TapInfo info = tap_info_of<Arch, taps<Tap>>()[0];

template <class Arch, class Tap>
constexpr int feature_of = info<Arch, Tap>.feature;

// The last feature at a stride. Large: the closing convolution is the last one at 32.
static_assert(feature_of<LargeArch, at_stride<2>> == 1);
static_assert(feature_of<LargeArch, at_stride<4>> == 3);
static_assert(feature_of<LargeArch, at_stride<8>> == 6);
static_assert(feature_of<LargeArch, at_stride<16>> == 12);
static_assert(feature_of<LargeArch, at_stride<32>> == 16);
static_assert(feature_of<SmallArch, at_stride<2>> == 0, "only the stem");
static_assert(feature_of<SmallArch, at_stride<4>> == 1);
static_assert(feature_of<SmallArch, at_stride<8>> == 3);
static_assert(feature_of<SmallArch, at_stride<16>> == 8);
static_assert(feature_of<SmallArch, at_stride<32>> == 12);

// The first one: the same shape, another tensor. LR-ASPP's low is features.4.
static_assert(feature_of<LargeArch, first_at_stride<2>> == 0);
static_assert(feature_of<LargeArch, first_at_stride<4>> == 2);
static_assert(feature_of<LargeArch, first_at_stride<8>> == 4);
static_assert(feature_of<LargeArch, first_at_stride<16>> == 7);
static_assert(feature_of<LargeArch, first_at_stride<32>> == 13);
static_assert(feature_of<SmallArch, first_at_stride<8>> == 2);
static_assert(feature_of<SmallArch, first_at_stride<16>> == 4);
static_assert(feature_of<SmallArch, first_at_stride<32>> == 9);

// Dilated, the last stage stays at stride 16, and nothing is at 32.
static_assert(feature_of<RvmArch, at_stride<8>> == 6);
static_assert(feature_of<RvmArch, at_stride<16>> == 16);
static_assert(feature_of<RvmArch, first_at_stride<16>> == 7);
static_assert(position_of(definition_of<RvmArch>, at_stride<32>::request) == -1);
static_assert(feature_of<Dilated<SmallArch>, at_stride<16>> == 12);

// All there is to know of a tap.
static_assert(info<LargeArch, after<6>> ==
              TapInfo{.feature = 6, .channels = 40, .stride = 8, .position = position_after(6)});
static_assert(info<LargeArch, after<6>> == info<LargeArch, at_stride<8>>);
static_assert(info<LargeArch, after<0>> ==
              TapInfo{.feature = 0, .channels = 16, .stride = 2, .position = position_after(0)});
static_assert(info<LargeArch, after<16>>.channels == 960);
static_assert(info<RvmArch, after<16>>.stride == 16);
static_assert(info<SmallArch, after<12>>.channels == 576);

// An expansion is as wide as the block inside and as large as the block's *input*. SSDlite's tap is
// that of the first block of the last stage.
static_assert(info<LargeArch, expansion<13>> == TapInfo{.feature = 13,
                                                        .channels = 672,
                                                        .stride = 16,
                                                        .position = position_of_expansion(13)});
static_assert(info<SmallArch, expansion<9>>.channels == 288);
static_assert(info<SmallArch, expansion<9>>.stride == 16);
static_assert(info<LargeArch, expansion<2>>.channels == 64);
static_assert(info<LargeArch, expansion<2>>.stride == 2);

// The classifier's two have no feature and no stride.
static_assert(info<LargeArch, embedding>.feature == -1);
static_assert(info<LargeArch, embedding>.channels == 1280);
static_assert(info<LargeArch, embedding>.stride == 0);
static_assert(info<LargeArch, logits>.feature == -1);
static_assert(info<LargeArch, logits>.channels == 1000);
static_assert(info<SmallArch, embedding>.channels == 1024);
static_assert(info<LargeArch, embedding>.position < info<LargeArch, logits>.position);

// Which output is at a position.
constexpr auto two_taps = tap_info_of<SmallArch, taps<after<1>, logits>>();
static_assert(tap_index(two_taps, position_after(1)) == 0);
static_assert(tap_index(two_taps, position_of_logits(definition_of<SmallArch>)) == 1);
static_assert(tap_index(two_taps, position_after(0)) == -1);
static_assert(is_tapped(two_taps, position_after(1)) && !is_tapped(two_taps, position_after(0)));

// Without taps: the logits.
static_assert(tap_info_of<SmallArch, taps<>>() == tap_info_of<SmallArch, taps<logits>>());
static_assert(reach_of<SmallArch, taps<>>() == position_of_logits(definition_of<SmallArch>));

// Several, in the order in which they are given. Nothing beyond the last is reached.
using Rvm = taps<after<1>, after<3>, after<6>, after<16>>;
static_assert(tap_info_of<RvmArch, Rvm>().size() == 4);
static_assert(tap_info_of<RvmArch, Rvm>()[0].channels == 16);
static_assert(tap_info_of<RvmArch, Rvm>()[1].channels == 24);
static_assert(tap_info_of<RvmArch, Rvm>()[2].channels == 40);
static_assert(tap_info_of<RvmArch, Rvm>()[3].channels == 960);
static_assert(reach_of<RvmArch, Rvm>() == position_after(16));
static_assert(reach_of<LargeArch, taps<after<3>, expansion<13>>>() == position_of_expansion(13));
static_assert(reach_of<LargeArch, taps<expansion<13>, after<13>>>() == position_after(13));

// What does not exist has no position.
constexpr const Definition& large = definition_of<LargeArch>;
static_assert(position_of(large, after<-1>::request) == -1);
static_assert(position_of(large, after<17>::request) == -1);
static_assert(position_of(large, at_stride<0>::request) == -1);
static_assert(position_of(large, at_stride<1>::request) == -1, "the stem already halves");
static_assert(position_of(large, at_stride<64>::request) == -1);
static_assert(position_of(large, first_at_stride<3>::request) == -1);
static_assert(position_of(large, expansion<0>::request) == -1, "the stem");
static_assert(position_of(large, expansion<1>::request) == -1, "as wide as its input");
static_assert(position_of(large, expansion<16>::request) == -1, "the closing convolution");
static_assert(position_of(large, expansion<2>::request) == position_of_expansion(2));

// Tap types are empty: they cost nothing wherever they are kept.
static_assert(std::is_empty_v<taps<after<3>, logits>>);

}  // namespace
