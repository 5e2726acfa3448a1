// SPDX-License-Identifier: MIT
// timm's own weights in torchvision's network.
// expect: mnv3: \[same_eps\]
// expect: checkpoint_error<mnv3::SmallArch, .*mobilenetv3_small_100, .*got<1000>, .*expected<10> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Checkpoint = mnv3::SmallArch;
#else
using Checkpoint = mnv3::timm::mobilenetv3_small_100;
#endif
static_assert(mnv3::verify_checkpoint<mnv3::SmallArch, Checkpoint>());
