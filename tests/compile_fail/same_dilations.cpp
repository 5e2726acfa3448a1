// SPDX-License-Identifier: MIT
// timm's meaning of output stride 16 is not torchvision's.
// expect: mnv3: \[same_dilations\]
// expect: checkpoint_error<mnv3::RvmArch, .*mnv3::config::at_block<12>, .*got<2>, .*expected<1> ?>
#include <mnv3/config.hpp>

using enum mnv3::DilationRule;
#ifdef MNV3_FIXED
using Checkpoint = mnv3::OutputStride<mnv3::LargeArch, 16, torchvision>;
#else
using Checkpoint = mnv3::OutputStride<mnv3::LargeArch, 16, timm>;
#endif
static_assert(mnv3::verify_checkpoint<mnv3::RvmArch, Checkpoint>());
