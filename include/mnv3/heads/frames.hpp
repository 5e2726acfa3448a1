// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <torch/nn/functional/upsampling.h>
#include <torch/types.h>

// Frames, alone or in sequences: (B, C, H, W) or (B, T, C, H, W). What each frame goes through alone
// sees (B * T, C, H, W).

namespace mnv3::heads {

/// Calls `use` with the frames of `x` as a batch, and gives its result B and T as `x` has them.
template <class Use>
torch::Tensor for_each_frame(const torch::Tensor& x, Use use) {
  if (x.dim() == 4) return use(x);
  return use(x.flatten(0, 1)).unflatten(0, {x.size(0), x.size(1)});
}

/// Joins the channels.
inline torch::Tensor join(std::vector<torch::Tensor> parts) { return torch::cat(parts, -3); }

/// Bilinear, with the corners of the pixels aligned, not their centres.
inline torch::Tensor resize_to(const torch::Tensor& x, std::int64_t height, std::int64_t width) {
  namespace F = torch::nn::functional;
  return F::interpolate(x, F::InterpolateFuncOptions()
                               .size(std::vector<std::int64_t>{height, width})
                               .mode(torch::kBilinear)
                               .align_corners(false));
}

/// The same by a factor, which is what pixels are placed by, also where the size is rounded.
inline torch::Tensor resize_by(const torch::Tensor& x, double factor) {
  namespace F = torch::nn::functional;
  return F::interpolate(x, F::InterpolateFuncOptions()
                               .scale_factor(std::vector<double>{factor, factor})
                               .recompute_scale_factor(false)
                               .mode(torch::kBilinear)
                               .align_corners(false));
}

}  // namespace mnv3::heads
