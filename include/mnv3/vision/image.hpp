// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace mnv3 {

/// What goes wrong with a picture or with labels. `what()` says what was found and what is allowed.
class VisionError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An RGB picture.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb{};  ///< Row by row from the top, three bytes a pixel.

  std::size_t row_bytes() const { return std::size_t{3} * static_cast<std::size_t>(width); }
};

/// No picture that is read or resized has more pixels: 200 MB.
inline constexpr std::int64_t max_pixels = std::int64_t{1} << 26;

/// Errors  VisionError if a side is below 1 or there would be more than `max_pixels`.
inline void check_image_size(std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1 || width > max_pixels / height)
    throw VisionError("a picture must have from 1 to " + std::to_string(max_pixels) +
                      " pixels, but this one would have " + std::to_string(width) + " x " +
                      std::to_string(height));
}

/// Errors  As `check_image_size`; VisionError if `rgb` has not three bytes for each pixel.
inline void check_image(const Image& image) {
  check_image_size(image.width, image.height);
  const auto pixels = std::int64_t{image.width} * image.height;
  if (image.rgb.size() != static_cast<std::size_t>(3 * pixels))
    throw VisionError("a picture of " + std::to_string(image.width) + " x " +
                      std::to_string(image.height) + " must have three bytes a pixel, but has " +
                      std::to_string(image.rgb.size()) + " in all");
}

/// A black picture.
///
/// Errors  As `check_image_size`.
inline Image make_image(std::int64_t width, std::int64_t height) {
  check_image_size(width, height);
  return {.width = static_cast<int>(width),
          .height = static_cast<int>(height),
          .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(3 * width * height))};
}

}  // namespace mnv3
