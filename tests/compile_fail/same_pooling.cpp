// SPDX-License-Identifier: MIT
// Weights of a network that pools the largest values.
// expect: mnv3: \[same_pooling\]
// expect: checkpoint_error<mnv3::SmallArch, Other, mnv3::config::got<0>, .*expected<1> ?>
#include <mnv3/config.hpp>

struct Other : mnv3::SmallArch {
#ifndef MNV3_FIXED
  static constexpr mnv3::Settings settings{.pooling = mnv3::Pooling::max};
#endif
};
static_assert(mnv3::verify_checkpoint<mnv3::SmallArch, Other>());
