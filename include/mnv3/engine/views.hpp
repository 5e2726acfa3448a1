// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

// The caller's memory, as the kernels read and write it.

namespace mnv3::engine {

/// A picture as the caller has it: strides in floats.
struct Picture {
  const float* data;
  std::int64_t channel_stride;
  std::int64_t row_stride;
  std::int64_t column_stride;
  const float* mean = nullptr;  ///< Of each channel, where the network normalises; or null.
  const float* std = nullptr;
};

/// Where a tapped feature of one picture goes: dense, channels first or last.
struct Output {
  float* data = nullptr;
  bool channels_last = false;
};

}  // namespace mnv3::engine
