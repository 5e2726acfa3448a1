// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <mnv3/config/preset.hpp>
#include <mnv3/train/augment/random_stream.hpp>
#include <mnv3/vision/image.hpp>
#include <mnv3/vision/resize.hpp>

namespace mnv3::train {

/// A piece of a picture.
struct CropBox {
  int left = 0, top = 0, width = 0, height = 0;

  bool operator==(const CropBox&) const = default;
};

/// Cuts a piece out.
///
/// Errors  As `check_image`; VisionError if the piece is empty or not inside the picture.
inline Image crop(const Image& image, const CropBox& box) {
  check_image(image);
  if (box.left < 0 || box.top < 0 || box.width < 1 || box.height < 1 ||
      box.width > image.width - box.left || box.height > image.height - box.top)
    throw VisionError(
        fmt::format("mnv3: {} x {} pixels from ({}, {}) on cannot be cut out of a "
                    "picture of {} x {}",
                    box.width, box.height, box.left, box.top, image.width, image.height));
  Image piece = make_image(box.width, box.height);
  for (int y = 0; y < box.height; ++y)
    std::copy_n(image.rgb.begin() + 3 * (std::ptrdiff_t{box.top + y} * image.width + box.left),
                piece.row_bytes(), piece.rgb.begin() + std::ptrdiff_t{3} * y * box.width);
  return piece;
}

/// Mirrors left and right.
inline Image hflip(Image image) {
  check_image(image);
  const auto width = static_cast<std::ptrdiff_t>(image.width);
  for (std::uint8_t* row = image.rgb.data(); row != image.rgb.data() + image.rgb.size();
       row += 3 * width)
    for (std::uint8_t *left = row, *right = row + 3 * (width - 1); left < right;
         left += 3, right -= 3)
      std::swap_ranges(left, left + 3, right);
  return image;
}

/// Mirrors with probability `p`.
struct RandomHorizontalFlip {
  double p = 0.5;

  Image operator()(Image image, RandomStream& random) const {
    return random.chance(p) ? hflip(std::move(image)) : image;
  }
};

/// A piece of random size, shape and place, resized to a square of `size` pixels a side.
/// Source  torchvision 0.14.1 transforms/transforms.py RandomResizedCrop.
struct RandomResizedCrop {
  int size = 224;
  std::array<double, 2> scale{0.08, 1.0};             ///< Of the picture's area.
  std::array<double, 2> ratio{3.0 / 4.0, 4.0 / 3.0};  ///< Of width to height.
  Interpolation interpolation = Interpolation::bilinear;

  /// Errors  std::invalid_argument if a range is empty or not above 0; as `resize`.
  Image operator()(const Image& image, RandomStream& random) const {
    const CropBox box = choose(image.width, image.height, random);
    if (box.width == image.width && box.height == image.height)
      return resize(image, size, size, interpolation);
    return resize(crop(image, box), size, size, interpolation);
  }

  /// The piece: ten tries, then the largest one in the centre that has a shape in the range.
  CropBox choose(int width, int height, RandomStream& random) const {
    check();
    const double area = static_cast<double>(width) * height;
    for (int i = 0; i < 10; ++i) {
      const double target = area * random.uniform(scale[0], scale[1]);
      const double shape = std::exp(random.uniform(std::log(ratio[0]), std::log(ratio[1])));
      const double wide = std::nearbyint(std::sqrt(target * shape));
      const double high = std::nearbyint(std::sqrt(target / shape));
      if (wide < 1 || wide > width || high < 1 || high > height) continue;
      CropBox box{.width = static_cast<int>(wide), .height = static_cast<int>(high)};
      box.top = static_cast<int>(random.below(height - box.height + 1));
      box.left = static_cast<int>(random.below(width - box.width + 1));
      return box;
    }
    const double shape = static_cast<double>(width) / height;
    CropBox box{.width = width, .height = height};
    if (shape < ratio[0])
      box.height = std::min(height, static_cast<int>(std::nearbyint(width / ratio[0])));
    else if (shape > ratio[1])
      box.width = std::min(width, static_cast<int>(std::nearbyint(height * ratio[1])));
    box.left = (width - box.width) / 2;
    box.top = (height - box.height) / 2;
    return box;
  }

  void check() const {
    const auto is_range = [](const std::array<double, 2>& range) {
      return range[0] > 0 && range[0] <= range[1] && std::isfinite(range[1]);
    };
    if (!is_range(scale) || !is_range(ratio) || scale[1] > 1)
      throw std::invalid_argument(
          fmt::format("mnv3: RandomResizedCrop takes a share of the area above 0 and up to 1 and a "
                      "ratio above 0, the smaller number first, but has scale {} to {}, ratio {} "
                      "to {}",
                      scale[0], scale[1], ratio[0], ratio[1]));
  }
};

/// What a picture is evaluated on: its shorter side resized, the centre cut out.
/// Source  torchvision 0.14.1 transforms/_presets.py ImageClassification.
struct ResizeCenterCrop {
  int resize_size = 256;
  int crop_size = 224;
  Interpolation interpolation = Interpolation::bilinear;

  Image operator()(const Image& image, RandomStream&) const {
    return center_crop(resize_shorter_side(image, resize_size, interpolation), crop_size,
                       crop_size);
  }
};

}  // namespace mnv3::train
