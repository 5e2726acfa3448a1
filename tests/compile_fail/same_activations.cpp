// SPDX-License-Identifier: MIT
// Weights of a network without hard-swish in the stem.
// expect: mnv3: \[same_activations\]
// expect: checkpoint_error<mnv3::SmallArch, Other, mnv3::config::got<1>, .*expected<0> ?>
#include <mnv3/config.hpp>

struct Other : mnv3::SmallArch {
#ifndef MNV3_FIXED
  static constexpr mnv3::Settings settings{.activation = mnv3::Activation::RE};
#endif
};
static_assert(mnv3::verify_checkpoint<mnv3::SmallArch, Other>());
