// SPDX-License-Identifier: MIT
// Weights of an encoder of output stride 32 in one of 16.
// expect: mnv3: \[same_strides\]
// expect: checkpoint_error<mnv3::RvmArch, .*LargeArch, .*at_block<12>, .*got<1>, .*expected<2> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Checkpoint = mnv3::Dilated<mnv3::LargeArch>;
#else
using Checkpoint = mnv3::LargeArch;
#endif
static_assert(mnv3::verify_checkpoint<mnv3::RvmArch, Checkpoint>());
