// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <torch/types.h>

// Boxes are rows of (x1, y1, x2, y2), in pixels.

namespace mnv3 {

/// Which boxes to keep, the best first: of any two that overlap by more than `iou_threshold` of their
/// union, the one with the higher score.
///
/// Shapes  boxes: (N, 4), scores: (N), both float32 on the CPU. Result: indices, (K), int64.
/// Errors  c10::Error if the sizes differ.
/// Source  torchvision 0.14.1 csrc/ops/cpu/nms_kernel.cpp.
inline torch::Tensor nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                         double iou_threshold) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4 && scores.dim() == 1 &&
                  scores.size(0) == boxes.size(0),
              "mnv3: nms takes boxes (N, 4) and their scores (N), but was given ", boxes.sizes(),
              " and ", scores.sizes());
  const torch::Tensor by_score = std::get<1>(scores.sort(/*stable=*/true, 0, /*descending=*/true));
  const torch::Tensor sorted = boxes.to(torch::kFloat).index_select(0, by_score).contiguous();
  const auto count = static_cast<std::size_t>(boxes.size(0));
  const auto* const box = reinterpret_cast<const std::array<float, 4>*>(sorted.data_ptr<float>());
  const auto area = [](const std::array<float, 4>& b) { return (b[2] - b[0]) * (b[3] - b[1]); };
  std::vector<char> is_suppressed(count, 0);
  std::vector<std::int64_t> kept;
  for (std::size_t i = 0; i < count; ++i) {
    if (is_suppressed[i]) continue;
    kept.push_back(static_cast<std::int64_t>(i));
    for (std::size_t j = i + 1; j < count; ++j) {
      const float width = std::min(box[i][2], box[j][2]) - std::max(box[i][0], box[j][0]);
      const float height = std::min(box[i][3], box[j][3]) - std::max(box[i][1], box[j][1]);
      const float both = std::max(width, 0.0F) * std::max(height, 0.0F);
      const float overlap = both / (area(box[i]) + area(box[j]) - both);
      if (static_cast<double>(overlap) > iou_threshold) is_suppressed[j] = 1;
    }
  }
  return by_score.index_select(0, torch::tensor(kept, torch::kLong));
}

namespace heads {

/// The default boxes of an SSD: for each place of each feature map those of its scale, of the next
/// one's, and of each aspect ratio.
///
/// Source  torchvision 0.14.1 models/detection/anchor_utils.py L128-264, without `steps`.
class DefaultBoxes {
 public:
  /// Errors  c10::Error if there are fewer than 2 maps or the ratios are not ascending in (0, 1].
  DefaultBoxes(std::size_t maps, std::vector<double> aspect_ratios, double min_ratio,
               double max_ratio)
      : aspect_ratios_(std::move(aspect_ratios)) {
    TORCH_CHECK(
        maps >= 2 && min_ratio > 0 && min_ratio < max_ratio && max_ratio <= 1,
        "mnv3: default boxes are for 2 or more maps and for scales from above 0 to at most ",
        "1, but were asked for with ", maps, " maps and scales from ", min_ratio, " to ",
        max_ratio);
    for (std::size_t k = 0; k < maps; ++k)
      scales_.push_back(min_ratio + (max_ratio - min_ratio) * static_cast<double>(k) /
                                        static_cast<double>(maps - 1));
    scales_.push_back(1.0);
  }

  /// Of each place.
  std::int64_t count() const { return 2 + 2 * static_cast<std::int64_t>(aspect_ratios_.size()); }

  /// Shapes  maps: height and width of each. Result: (sum of places * count, 4), float32.
  torch::Tensor operator()(const std::vector<std::array<std::int64_t, 2>>& maps,
                           std::int64_t height, std::int64_t width) const {
    TORCH_CHECK(maps.size() + 1 == scales_.size(), "mnv3: these default boxes are for ",
                scales_.size() - 1, " maps, but there are ", maps.size());
    std::vector<torch::Tensor> all;
    for (std::size_t k = 0; k < maps.size(); ++k) {
      const auto [rows, columns] = maps[k];
      const auto centres = [](std::int64_t count) {
        return (torch::arange(0, count, torch::kFloat) + 0.5) / static_cast<double>(count);
      };
      const auto grid = torch::meshgrid({centres(rows), centres(columns)}, "ij");
      const torch::Tensor places = torch::stack({grid[1].reshape(-1), grid[0].reshape(-1)}, -1)
                                       .repeat_interleave(count(), 0);
      const torch::Tensor sizes = sizes_at(k).clamp(0, 1).repeat({rows * columns, 1});
      all.push_back(torch::cat({places - 0.5 * sizes, places + 0.5 * sizes}, 1));
    }
    const auto size = torch::tensor({static_cast<float>(width), static_cast<float>(height),
                                     static_cast<float>(width), static_cast<float>(height)});
    return torch::cat(all) * size;
  }

 private:
  /// Widths and heights, as parts of the picture.
  torch::Tensor sizes_at(std::size_t k) const {
    const double scale = scales_[k];
    const double between = std::sqrt(scales_[k] * scales_[k + 1]);
    std::vector<float> sizes;
    const auto add = [&](double w, double h) {
      sizes.push_back(static_cast<float>(w));
      sizes.push_back(static_cast<float>(h));
    };
    add(scale, scale);
    add(between, between);
    for (const double ratio : aspect_ratios_) {
      const double root = std::sqrt(ratio);
      add(scale * root, scale / root);
      add(scale / root, scale * root);
    }
    return torch::tensor(sizes).view({-1, 2});
  }

  std::vector<double> aspect_ratios_;
  std::vector<double> scales_;
};

/// Boxes from what a network says of how they differ from `anchors`.
///
/// Shapes  both: (N, 4). Result: (N, 4).
/// Source  torchvision 0.14.1 models/detection/_utils.py L176-229, with the weights 10, 10, 5, 5.
inline torch::Tensor decode_boxes(const torch::Tensor& differences, const torch::Tensor& anchors) {
  const torch::Tensor size = anchors.slice(1, 2, 4) - anchors.slice(1, 0, 2);
  const torch::Tensor centre = anchors.slice(1, 0, 2) + 0.5 * size;
  const torch::Tensor moved = differences.slice(1, 0, 2) / 10.0 * size + centre;
  const torch::Tensor half =
      (differences.slice(1, 2, 4) / 5.0).clamp_max(std::log(1000.0 / 16)).exp() * size * 0.5;
  return torch::cat({moved - half, moved + half}, 1);
}

}  // namespace heads

}  // namespace mnv3
