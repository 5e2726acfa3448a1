// SPDX-License-Identifier: MIT
#pragma once

#include <torch/types.h>

namespace mnv3::train::detail {

/// The type in which sums over values of `type` are kept.
inline torch::ScalarType summed_in(torch::ScalarType type) {
  return type == torch::kHalf || type == torch::kBFloat16 ? torch::kFloat : type;
}

}  // namespace mnv3::train::detail
