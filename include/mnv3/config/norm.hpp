// SPDX-License-Identifier: MIT
#pragma once

namespace mnv3 {

/// What follows every convolution: torchvision's `norm_layer`.
enum class Norm {
  batch,         ///< nn.BatchNorm2d.
  frozen_batch,  ///< torchvision's FrozenBatchNorm2d: four buffers, which nothing changes.
  group,         ///< nn.GroupNorm of `norm_groups` groups.
  none,          ///< nn.Identity.
};

}  // namespace mnv3
