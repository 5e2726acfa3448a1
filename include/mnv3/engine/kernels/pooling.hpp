// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/conventions.hpp>

namespace mnv3::engine {

/// Whether a pooling needs the mean of the pixels.
constexpr bool takes_mean(Pooling pooling) {
  switch (pooling) {
    case Pooling::avg:
    case Pooling::avgmax:
      return true;
    case Pooling::max:
      return false;
  }
  return false;
}

/// Whether a pooling needs the largest value of the pixels.
constexpr bool takes_maximum(Pooling pooling) {
  switch (pooling) {
    case Pooling::avg:
      return false;
    case Pooling::max:
    case Pooling::avgmax:
      return true;
  }
  return false;
}

}  // namespace mnv3::engine
