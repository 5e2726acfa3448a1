// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

// The caller's memory, as the kernels read and write it.

namespace mnv3::engine {

/// A picture as the caller has it, of floats or of bytes. Strides are in these and may be negative
/// or 0: channels in another order, or one for all.
struct Picture {
  const float* data = nullptr;          ///< Floats; null where there are bytes.
  const std::uint8_t* bytes = nullptr;  ///< Of the first channel of the first pixel.
  std::int64_t channel_stride = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
  const float* mean = nullptr;    ///< Of each channel of floats, where the network normalises.
  const float* std = nullptr;     ///< As `mean`.
  const float* levels = nullptr;  ///< [channels][256]: what each byte stands for.
};

/// Where a tapped feature of one picture goes: dense, channels first or last.
struct Output {
  float* data = nullptr;
  bool channels_last = false;
};

}  // namespace mnv3::engine
