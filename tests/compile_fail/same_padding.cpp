// SPDX-License-Identifier: MIT
// TensorFlow's weights in a network with torchvision's padding.
// expect: mnv3: \[same_padding\]
// expect: checkpoint_error<mnv3::SmallArch, .*tf_mobilenetv3_small_100, .*got<0>, .*expected<1> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Checkpoint = mnv3::SmallArch;
#else
using Checkpoint = mnv3::timm::tf_mobilenetv3_small_100;
#endif
static_assert(mnv3::verify_checkpoint<mnv3::SmallArch, Checkpoint>());
