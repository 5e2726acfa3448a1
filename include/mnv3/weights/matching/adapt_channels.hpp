// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mnv3::weights {

/// Makes the weight of a stem for so many channels from one for RGB: for one channel the sum over
/// the three, for n the three over and over, scaled by 3 / n.
///
/// Shapes  rgb: (filters, 3, k, k), dense, in a row. adapted: (filters, channels, k, k).
/// Source  timm 1.0 timm/models/_manipulate.py `adapt_input_conv`.
template <class T>
void adapt_channels(std::span<const T> rgb, std::span<T> adapted, std::size_t filters,
                    std::size_t channels) {
  if (filters == 0) return;
  const std::size_t area = rgb.size() / filters / 3;
  const T scale = static_cast<T>(3.0 / static_cast<double>(channels));
  for (std::size_t f = 0; f < filters; ++f) {
    const std::span<const T> from = rgb.subspan(f * 3 * area, 3 * area);
    const std::span<T> to = adapted.subspan(f * channels * area, channels * area);
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = channels == 1 ? from[i] + from[area + i] + from[2 * area + i]
                            : from[i % (3 * area)] * scale;
  }
}

}  // namespace mnv3::weights
