// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <torch/types.h>

namespace mnv3::weights {

/// The weight of a stem for so many channels from one for RGB.
///
/// Source  timm 1.0 timm/models/_manipulate.py `adapt_input_conv`.
inline torch::Tensor adapted_to_channels(const torch::Tensor& rgb, std::int64_t channels) {
  // Not in the file's float16: a sum has more digits.
  const torch::Tensor weight =
      rgb.to(rgb.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat);
  if (channels == 1) return weight.sum(1, /*keepdim=*/true);
  const torch::Tensor repeated = weight.repeat({1, (channels + 2) / 3, 1, 1}).slice(1, 0, channels);
  return repeated * (3.0 / static_cast<double>(channels));
}

}  // namespace mnv3::weights
