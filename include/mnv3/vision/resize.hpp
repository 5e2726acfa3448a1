// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <mnv3/config/preset.hpp>
#include <mnv3/vision/image.hpp>

// Resizing that gives Pillow's bytes, because the published accuracies were measured with them.
// LibTorch's interpolation with `antialias` gives other bytes in 15 % of a photograph, by 1.

namespace mnv3 {

namespace vision {

/// How many neighbours on either side a filter looks at when it enlarges.
inline double filter_radius(Interpolation interpolation) {
  return interpolation == Interpolation::bilinear ? 1 : 2;
}

/// A triangle, or Keys' cubic convolution with a = -1/2.
inline double filter_at(Interpolation interpolation, double x) {
  x = std::abs(x);
  if (interpolation == Interpolation::bilinear) return std::max(1 - x, 0.0);
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// What one pixel of the result is made of.
struct FilterWindow {
  std::size_t first;                  ///< Pixel of the source that `weights` begin with.
  std::vector<std::int32_t> weights;  ///< They add up to about 2 to the power of `weight_bits`.
};

/// Enough for sums of 8-bit pixels in 32 bits, with room for the cubic's overshoot.
inline constexpr int weight_bits = 32 - 8 - 2;

/// The windows along one side that has `from` pixels and is to have `to`. When it shrinks, the
/// filter is stretched over all pixels that one of the result covers.
/// Source  Pillow 9.4 src/libImaging/Resample.c: where windows begin and end, and how their weights
///         are rounded.
inline std::vector<FilterWindow> filter_windows(int from, int to, Interpolation interpolation) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double radius = filter_radius(interpolation) * stretch;
  std::vector<FilterWindow> windows;
  std::vector<double> exact;
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    const int begin = std::max(static_cast<int>(centre - radius + 0.5), 0);
    const int end = std::min(static_cast<int>(centre + radius + 0.5), from);
    exact.clear();
    double sum = 0;
    for (int x = begin; x < end; ++x) {
      exact.push_back(filter_at(interpolation, (x - centre + 0.5) * (1 / stretch)));
      sum += exact.back();
    }
    FilterWindow window{.first = static_cast<std::size_t>(begin), .weights = {}};
    for (const double weight : exact) {
      const double scaled = (sum != 0 ? weight / sum : weight) * (1 << weight_bits);
      window.weights.push_back(static_cast<std::int32_t>(scaled + (scaled < 0 ? -0.5 : 0.5)));
    }
    windows.push_back(std::move(window));
  }
  return windows;
}

inline constexpr std::int32_t half_weight = 1 << (weight_bits - 1);

inline std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> weight_bits, 0, 255));
}

inline Image resize_width(const Image& from, int width, Interpolation interpolation) {
  Image to = make_image(width, from.height);
  const auto windows = filter_windows(from.width, width, interpolation);
  const std::uint8_t* row = from.rgb.data();
  std::uint8_t* out = to.rgb.data();
  for (int y = 0; y < from.height; ++y, row += from.row_bytes()) {
    for (const FilterWindow& window : windows) {
      const std::uint8_t* pixel = row + 3 * window.first;
      std::int32_t red = half_weight, green = half_weight, blue = half_weight;
      for (const std::int32_t weight : window.weights) {
        red += weight * pixel[0];
        green += weight * pixel[1];
        blue += weight * pixel[2];
        pixel += 3;
      }
      *out++ = to_byte(red);
      *out++ = to_byte(green);
      *out++ = to_byte(blue);
    }
  }
  return to;
}

inline Image resize_height(const Image& from, int height, Interpolation interpolation) {
  Image to = make_image(from.width, height);
  const std::size_t bytes = from.row_bytes();
  std::vector<std::int32_t> sums(bytes);
  std::uint8_t* out = to.rgb.data();
  for (const FilterWindow& window : filter_windows(from.height, height, interpolation)) {
    std::fill(sums.begin(), sums.end(), half_weight);
    const std::uint8_t* row = from.rgb.data() + window.first * bytes;
    for (const std::int32_t weight : window.weights) {
      for (std::size_t i = 0; i < bytes; ++i) sums[i] += weight * row[i];
      row += bytes;
    }
    out = std::transform(sums.begin(), sums.end(), out, to_byte);
  }
  return to;
}

/// Where a centred piece of `length` begins in a side of `size` pixels; below 0 where it is longer.
constexpr int crop_begin(int size, int length) {
  const int rest = size - length;
  if (rest < 0) return -(-rest / 2);
  return (rest + rest / 2 % 2) / 2;  // Python's round: a half goes to the even neighbour
}

}  // namespace vision

/// Resizes as Pillow's `Image.resize` does, to the bit: first along rows, then along columns, with
/// bytes in between.
///
/// Errors  As `check_image`, for either picture.
inline Image resize(const Image& image, int width, int height,
                    Interpolation interpolation = Interpolation::bilinear) {
  check_image(image);
  check_image_size(width, height);
  check_image_size(width, image.height);  // what is in between
  Image result = image.width == width ? image : vision::resize_width(image, width, interpolation);
  if (image.height != height) result = vision::resize_height(result, height, interpolation);
  return result;
}

/// Resizes so that the shorter side has `size` pixels; the other one keeps the proportions, rounded
/// down.
///
/// Errors  As `resize`.
/// Source  torchvision 0.14.1 transforms/functional.py L363-388.
inline Image resize_shorter_side(const Image& image, int size,
                                 Interpolation interpolation = Interpolation::bilinear) {
  check_image(image);
  const auto [shorter, longer] = std::minmax({image.width, image.height});
  const std::int64_t length = std::int64_t{size} * longer / shorter;
  check_image_size(size, length);
  const int other = static_cast<int>(length);
  return image.width <= image.height ? resize(image, size, other, interpolation)
                                     : resize(image, other, size, interpolation);
}

/// Cuts out the centre; where the picture is smaller, black stands around it.
///
/// Errors  As `check_image_size`.
/// Source  torchvision 0.14.1 transforms/functional.py L553-591.
inline Image center_crop(const Image& image, int width, int height) {
  check_image(image);
  Image result = make_image(width, height);
  const int left = vision::crop_begin(image.width, width);
  const int top = vision::crop_begin(image.height, height);
  const int first = std::max(left, 0);
  const int count = std::min(left + width, image.width) - first;
  for (int y = std::max(top, 0); y < std::min(top + height, image.height); ++y) {
    const auto at = [](auto& of, int x, int row) {
      return of.rgb.begin() + 3 * (std::ptrdiff_t{of.width} * row + x);
    };
    std::copy_n(at(image, first, y), 3 * count, at(result, first - left, y - top));
  }
  return result;
}

}  // namespace mnv3
