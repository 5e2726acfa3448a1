// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

namespace mnv3 {

/// So that what is computed from a legal table does not overflow.
inline constexpr int most_channels = 1 << 20;

/// Rounds a channel count to the nearest multiple of `divisor`, but never down by more than 10 %.
///
/// Source  torchvision 0.14.1 models/_utils.py L76-89. The arithmetic is double, as there: the sum
///         is truncated, not the operand, and the 10 % test compares with the unrounded value.
constexpr int make_divisible(double channels, int divisor = 8) {
  channels = std::min(channels, 2.0 * most_channels);  // the rules refuse it, and no int overflows
  const int nearest = static_cast<int>(channels + divisor / 2.0) / divisor * divisor;
  const int rounded = std::max(divisor, nearest);
  return rounded < 0.9 * channels ? rounded + divisor : rounded;
}

}  // namespace mnv3
