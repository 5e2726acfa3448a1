// SPDX-License-Identifier: MIT
// Weights of a deeper network.
// expect: mnv3: \[same_rows\]
// expect: checkpoint_error<.*_large_100, .*_large_150d, .*got<15>, .*expected<21> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Checkpoint = mnv3::timm::mobilenetv3_large_100;
#else
using Checkpoint = mnv3::timm::mobilenetv3_large_150d;
#endif
static_assert(mnv3::verify_checkpoint<mnv3::timm::mobilenetv3_large_100, Checkpoint>());
