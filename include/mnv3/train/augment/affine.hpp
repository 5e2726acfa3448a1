// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

#include <mnv3/vision/image.hpp>

namespace mnv3::train {

namespace detail {

/// From a place (x, y) in the result to the one in the source it is taken from:
/// (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]).
using AffineMatrix = std::array<double, 6>;

/// The nearest pixels, and black where there are none.
/// Source  Pillow 9.4 src/libImaging/Geometry.c affine_fixed: places are counted in 65536ths. Above
///         32767 pixels a side Pillow takes another way, and bytes may differ.
inline Image transformed(const Image& image, const AffineMatrix& m) {
  check_image(image);
  const auto fixed = [](double value) {
    return static_cast<std::int64_t>(std::floor(value * 65536.0 + 0.5));
  };
  const std::int64_t right_x = fixed(m[0]), down_x = fixed(m[1]), right_y = fixed(m[3]),
                     down_y = fixed(m[4]);
  std::int64_t first_x = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5),
               first_y = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
  Image result = make_image(image.width, image.height);
  std::uint8_t* out = result.rgb.data();
  for (int row = 0; row < image.height; ++row, first_x += down_x, first_y += down_y) {
    std::int64_t at_x = first_x, at_y = first_y;
    for (int column = 0; column < image.width;
         ++column, out += 3, at_x += right_x, at_y += right_y) {
      const std::int64_t x = at_x >> 16, y = at_y >> 16;
      if (x < 0 || x >= image.width || y < 0 || y >= image.height) continue;
      std::copy_n(&image.rgb[static_cast<std::size_t>(3 * (y * image.width + x))], 3, out);
    }
  }
  return result;
}

}  // namespace detail

/// Shifts each row by `slope` times its distance from the top, to the left if it is above 0.
/// Source  torchvision 0.14.1 transforms/autoaugment.py _apply_op: about the upper left corner, and
///         with its sign; functional.py _get_inverse_affine_matrix. So it is for `shear_y`.
inline Image shear_x(const Image& image, double slope) {
  return detail::transformed(image, {1, slope, 0, 0, 1, 0});
}

/// Shifts each column by `slope` times its distance from the left, upwards if it is above 0.
inline Image shear_y(const Image& image, double slope) {
  return detail::transformed(image, {1, 0, 0, slope, 1, 0});
}

/// Moves the picture to the right and down.
inline Image translate(const Image& image, int right, int down) {
  return detail::transformed(image,
                             {1, 0, -static_cast<double>(right), 0, 1, -static_cast<double>(down)});
}

/// Turns the picture counterclockwise about its centre.
///
/// Units   Degrees.
/// Source  Pillow 9.4 Image.py rotate.
inline Image rotate(const Image& image, double angle) {
  const double radians = -std::fmod(angle, 360.0) * (std::numbers::pi / 180);
  const auto rounded = [](double value) { return std::round(value * 1e15) / 1e15; };
  const double cosine = rounded(std::cos(radians)), sine = rounded(std::sin(radians));
  const double x = image.width / 2.0, y = image.height / 2.0;
  return detail::transformed(
      image, {cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y});
}

}  // namespace mnv3::train
