// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include <mnv3/vision/image.hpp>
#include <mnv3/vision/top_k.hpp>

namespace mnv3 {

/// The `k` most probable classes, the first one first; all of them if there are fewer.
///
/// Shapes  logits: (classes), as a classifier gives for one picture.
/// Errors  VisionError if `logits` has another shape, `k` is below 1, or `labels` is not empty and
///         has not one label for each class.
inline std::vector<Prediction> top_k(const torch::Tensor& logits, std::int64_t k = 5,
                                     const std::vector<std::string>& labels = {}) {
  if (!logits.defined() || logits.dim() != 1)
    throw VisionError(
        "mnv3: top_k takes the logits of one picture, of shape (classes); of a batch "
        "give it one row, logits[i]");
  const torch::Tensor all = logits.detach().to(torch::kCPU, torch::kDouble).contiguous();
  return vision::top_k(
      std::span<const double>(all.data_ptr<double>(), static_cast<std::size_t>(all.numel())), k,
      labels);
}

}  // namespace mnv3
