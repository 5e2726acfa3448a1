// SPDX-License-Identifier: MIT
// Weights of a network with a narrower classifier.
// expect: mnv3: \[same_head\]
// expect: checkpoint_error<mnv3::SmallArch, Other, mnv3::config::got<1024>, .*expected<512> ?>
#include <mnv3/config.hpp>

struct Other : mnv3::SmallArch {
#ifndef MNV3_FIXED
  static constexpr mnv3::Settings settings{.last_channel = 512};
#endif
};
static_assert(mnv3::verify_checkpoint<mnv3::SmallArch, Other>());
