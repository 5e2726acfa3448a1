// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/vision/image_file.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace fuzz {

/// Decodes what libFuzzer came up with, as it is stored and upright. Nothing but a VisionError may
/// be thrown, and both must agree.
inline int decode(std::span<const unsigned char> bytes) {
  try {
    const mnv3::Image stored = mnv3::decode_image(bytes);
    const mnv3::Image upright = mnv3::decode_image(bytes, {.apply_orientation = true});
    mnv3::check_image(stored);
    mnv3::check_image(upright);
    const bool same_sides = stored.width == upright.width && stored.height == upright.height;
    if (!same_sides && (stored.width != upright.height || stored.height != upright.width))
      std::abort();
  } catch (const mnv3::VisionError& error) {
    for (const char* letter = error.what(); *letter != '\0'; ++letter)
      if (*letter < ' ' || *letter > '~') std::abort();  // messages go to terminals
  }
  return 0;
}

}  // namespace fuzz
