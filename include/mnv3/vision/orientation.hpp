// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

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
  const std::ptrdiff_t width = image.width, height = image.height;
  Image turned = swaps_sides ? make_image(height, width) : make_image(width, height);
  // Where the first pixel goes, and how far it is from there to those where its neighbours go.
  std::uint8_t* to = turned.rgb.data();
  std::ptrdiff_t to_right = 3 * (swaps_sides ? height : 1);
  std::ptrdiff_t to_below = 3 * (swaps_sides ? 1 : width);
  if (from_right) {
    to += (width - 1) * to_right;
    to_right = -to_right;
  }
  if (from_bottom) {
    to += (height - 1) * to_below;
    to_below = -to_below;
  }
  // By tiles, for the cache: where sides are swapped, neighbours in one picture are far apart in
  // the other. Larger tiles take twice as long where rows are a power of two apart, because a cache
  // keeps only about eight lines with such addresses.
  constexpr std::ptrdiff_t tile = 8;
  for (std::ptrdiff_t top = 0; top < height; top += tile)
    for (std::ptrdiff_t left = 0; left < width; left += tile)
      for (std::ptrdiff_t y = top; y < std::min(top + tile, height); ++y) {
        const std::uint8_t* pixel = image.rgb.data() + 3 * (y * width + left);
        std::ptrdiff_t offset = left * to_right + y * to_below;
        for (std::ptrdiff_t x = left; x < std::min(left + tile, width); ++x, pixel += 3) {
          for (std::ptrdiff_t c = 0; c < 3; ++c) to[offset + c] = pixel[c];
          offset += to_right;
        }
      }
  return turned;
}

}  // namespace mnv3::vision
