// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>

#include <ATen/Functions.h>
#include <torch/types.h>

#include <mnv3/train/augment/random_resized_crop.hpp>
#include <mnv3/train/augment/random_stream.hpp>

namespace mnv3::train {

/// Covers a rectangle of a normalised picture, with probability `p`.
/// Source  Zhong et al. 2017, arXiv:1708.04896; torchvision 0.14.1 transforms/transforms.py
///         RandomErasing.
struct RandomErasing {
  double p = 0.5;
  std::array<double, 2> scale{0.02, 0.33};  ///< Of the picture's area.
  std::array<double, 2> ratio{0.3, 3.3};    ///< Of height to width.
  double value = 0;                         ///< What covers it,
  bool random_values = false;               ///< or noise of mean 0 and deviation 1.

  /// Shapes  picture: (C, H, W), floating point; changed where it is.
  /// Errors  std::invalid_argument if `p` is no probability, or a range is empty or below 0.
  void operator()(const torch::Tensor& picture, RandomStream& random) const {
    check();
    if (!random.chance(p)) return;
    const std::optional<CropBox> box =
        choose(static_cast<int>(picture.size(2)), static_cast<int>(picture.size(1)), random);
    if (!box) return;
    const torch::NoGradGuard no_grad;
    torch::Tensor covered =
        picture.narrow(1, box->top, box->height).narrow(2, box->left, box->width);
    if (!random_values) {
      covered.fill_(value);
      return;
    }
    torch::Tensor noise = torch::empty(covered.sizes(), torch::kFloat);
    float* out = noise.data_ptr<float>();
    for (std::int64_t i = 0; i < noise.numel(); ++i) out[i] = static_cast<float>(random.normal());
    covered.copy_(noise);
  }

  /// Which rectangle, if one of ten is smaller than the picture.
  std::optional<CropBox> choose(int width, int height, RandomStream& random) const {
    const double area = static_cast<double>(width) * height;
    for (int i = 0; i < 10; ++i) {
      const double target = area * random.uniform(scale[0], scale[1]);
      const double shape = std::exp(random.uniform(std::log(ratio[0]), std::log(ratio[1])));
      const double high = std::nearbyint(std::sqrt(target * shape));
      const double wide = std::nearbyint(std::sqrt(target / shape));
      if (high >= height || wide >= width) continue;
      CropBox box{.width = static_cast<int>(wide), .height = static_cast<int>(high)};
      box.top = static_cast<int>(random.below(height - box.height + 1));
      box.left = static_cast<int>(random.below(width - box.width + 1));
      return box;
    }
    return std::nullopt;
  }

  void check() const {
    if (!(p >= 0 && p <= 1) || !(scale[0] >= 0 && scale[0] <= scale[1] && scale[1] <= 1) ||
        !(ratio[0] > 0 && ratio[0] <= ratio[1] && std::isfinite(ratio[1])))
      throw std::invalid_argument(
          fmt::format("mnv3: RandomErasing takes a probability from 0 to 1, a share of the area "
                      "from 0 to 1 and a ratio above 0, the smaller number first, but has p {}, "
                      "scale {} to {}, ratio {} to {}",
                      p, scale[0], scale[1], ratio[0], ratio[1]));
  }
};

}  // namespace mnv3::train
