// SPDX-License-Identifier: MIT
// Weights of a network whose gate is a sigmoid.
// expect: mnv3: \[same_squeezes\]
// expect: checkpoint_error<mnv3::SmallArch, Other, mnv3::config::got<0>, .*expected<2> ?>
#include <mnv3/config.hpp>

struct Other : mnv3::SmallArch {
#ifndef MNV3_FIXED
  static constexpr mnv3::Settings settings{.squeeze{.gate = mnv3::Gate::sigmoid}};
#endif
};
static_assert(mnv3::verify_checkpoint<mnv3::SmallArch, Other>());
