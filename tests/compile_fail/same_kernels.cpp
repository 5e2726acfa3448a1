// SPDX-License-Identifier: MIT
// Weights of a network with 3x3 kernels only.
// expect: mnv3: \[same_kernels\]
// expect: checkpoint_error<.*mnv3::config::at_block<3>, mnv3::config::got<3>, .*expected<5> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Checkpoint = mnv3::Minimalistic<mnv3::LargeArch>;
#else
using Checkpoint = mnv3::LargeArch;
#endif
static_assert(mnv3::verify_checkpoint<mnv3::Minimalistic<mnv3::LargeArch>, Checkpoint>());
