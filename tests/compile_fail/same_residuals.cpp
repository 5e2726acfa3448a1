// SPDX-License-Identifier: MIT
// Weights of a network whose first block has no residual.
// expect: mnv3: \[same_residuals\]
// expect: checkpoint_error<mnv3::LargeArch, Other, .*at_block<0>, .*got<1>, .*expected<0> ?>
#include <mnv3/config.hpp>

struct Other : mnv3::LargeArch {
#ifndef MNV3_FIXED
  static constexpr auto blocks = mnv3::timm::mobilenetv3_rw::blocks;
#endif
};
static_assert(mnv3::verify_checkpoint<mnv3::LargeArch, Other>());
