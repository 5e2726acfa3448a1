// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <mnv3/vision/image.hpp>

namespace mnv3::vision {

/// The picture as it is seen when a camera noted that orientation (EXIF's numbers, 1 to 8, of which
/// 1 changes nothing).
/// Source  Pillow 9.4 ImageOps.py exif_transpose.
inline Image upright(Image image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool swaps_sides = orientation >= 5;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const auto width = static_cast<std::size_t>(image.width);
  const auto height = static_cast<std::size_t>(image.height);
  Image turned =
      swaps_sides ? make_image(image.height, image.width) : make_image(image.width, image.height);
  // By tiles, for the cache: where sides are swapped, neighbours in one picture are far apart in
  // the other.
  constexpr std::size_t tile = 32;
  for (std::size_t top = 0; top < height; top += tile)
    for (std::size_t left = 0; left < width; left += tile)
      for (std::size_t y = top; y < std::min(top + tile, height); ++y)
        for (std::size_t x = left; x < std::min(left + tile, width); ++x) {
          const std::size_t column = from_right ? width - 1 - x : x;
          const std::size_t row = from_bottom ? height - 1 - y : y;
          const std::size_t to = swaps_sides ? column * height + row : row * width + column;
          std::copy_n(image.rgb.data() + 3 * (y * width + x), 3, turned.rgb.data() + 3 * to);
        }
  return turned;
}

}  // namespace mnv3::vision
