// SPDX-License-Identifier: MIT
// timm's weights of width 0.75 in torchvision's network of that width.
// expect: mnv3: \[same_channels\]
// expect: checkpoint_error<.*mnv3::config::at_block<1>, mnv3::config::got<48>, .*expected<64> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Checkpoint = mnv3::WidthMult<mnv3::LargeArch, std::ratio<3, 4>>;
#else
using Checkpoint = mnv3::timm::mobilenetv3_large_075;
#endif
static_assert(
    mnv3::verify_checkpoint<mnv3::WidthMult<mnv3::LargeArch, std::ratio<3, 4>>, Checkpoint>());
