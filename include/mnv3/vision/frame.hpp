// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/engine/frame.hpp>
#include <mnv3/vision/image.hpp>

namespace mnv3 {

/// The pixels of a picture, for an engine: seen, not copied.
///
/// Errors  As `check_image`.
inline Frame to_frame(const Image& image) {
  check_image(image);
  return Frame::rgb(image.rgb.data(), image.height, image.width);
}
Frame to_frame(const Image&& image) = delete;  // its pixels would be gone

}  // namespace mnv3
