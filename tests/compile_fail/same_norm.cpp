// SPDX-License-Identifier: MIT
// Weights of a network with group norm. A frozen batch norm computes what batch norm does.
// expect: mnv3: \[same_norm\]
// expect: checkpoint_error<mnv3::SmallArch, Other, mnv3::config::got<0>, .*expected<2> ?>
#include <mnv3/config.hpp>

struct Other : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::frozen_batch, .norm_eps = 1e-3};
#else
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::group};
#endif
};
static_assert(mnv3::verify_checkpoint<mnv3::SmallArch, Other>());
