// SPDX-License-Identifier: MIT
#include <mnv3/config/diagnostics.hpp>

#include <type_traits>

#include <mnv3/config/architectures.hpp>

// What is refused is in tests/compile_fail.

namespace {

using namespace mnv3;  // a test of nearly every name in the header

static_assert(verify<LargeArch>());
static_assert(verify<SmallArch>());
static_assert(verify<RvmArch>());
static_assert(verify_taps<LargeArch, taps<>>());
static_assert(verify_taps<RvmArch, taps<after<1>, after<3>, after<6>, after<16>>>());
static_assert(verify_taps<LargeArch, taps<expansion<13>, at_stride<32>, embedding, logits>>());

// A tap that does not exist is answered with all that do.
static_assert(
    std::is_same_v<config::detail::available_for<LargeArch, after<99>>,
                   config::available<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16>>);
static_assert(std::is_same_v<config::detail::available_for<LargeArch, at_stride<64>>,
                             config::available<2, 4, 8, 16, 32>>);
static_assert(std::is_same_v<config::detail::available_for<RvmArch, first_at_stride<32>>,
                             config::available<2, 4, 8, 16>>);
static_assert(std::is_same_v<config::detail::available_for<SmallArch, expansion<0>>,
                             config::available<2, 3, 4, 5, 6, 7, 8, 9, 10, 11>>);

// Strides that differ between the axes are listed as such.
struct Recogniser {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE, 2},
      {16, 3, 72, 24, false, RE, {2, 1}},
  });
};
static_assert(std::is_same_v<config::detail::available_for<Recogniser, at_stride<16>>,
                             config::available<Stride{2, 2}, Stride{4, 4}, Stride{8, 4}>>);

// With blocks of its own, a network has all outputs but those inside its blocks.
struct OwnBlock : LargeArch {
  template <InvertedResidualConfig Row>
  class block {};
};
static_assert(verify<OwnBlock>());
static_assert(verify_taps<OwnBlock, taps<after<3>, at_stride<8>, pooled, embedding, logits>>());
static_assert(check_taps(definition_of<OwnBlock>, taps<after<3>, expansion<4>>::requests) ==
              Verdict{.rule = Rule::blocks_known, .index = 1, .got = 4});
static_assert(check_taps(definition_of<OwnBlock>, taps<after<99>>::requests).rule ==
              Rule::feature_exists);

}  // namespace
