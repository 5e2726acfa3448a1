// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/name.hpp>

namespace mnv3 {

/// Prefixes of the names of one layer's tensors.
struct LayerNames {
  Name first;   ///< The convolution, the squeezing one, or the Linear.
  Name second;  ///< Its norm, or the exciting one.
};

}  // namespace mnv3
