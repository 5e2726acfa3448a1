// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <mnv3/vision/image.hpp>

namespace mnv3::vision {

/// Reads a binary PPM (P6) or PGM (P5), of which every Netpbm and many cameras' tools make some.
/// Source  netpbm.sourceforge.net/doc/ppm.html
class PpmDecoder {
 public:
  explicit PpmDecoder(std::span<const unsigned char> bytes) : rest_(bytes) {}

  /// Errors  VisionError
  Image decode() {
    const bool is_grey = rest_[1] == '5';
    rest_ = rest_.subspan(2);
    const std::int64_t width = number();
    const std::int64_t height = number();
    if (const std::int64_t largest = number(); largest != 255)
      throw VisionError("its largest value is " + std::to_string(largest) + "; only 255 is read");
    if (rest_.empty() || std::isspace(rest_[0]) == 0) fail();
    rest_ = rest_.subspan(1);

    check_image_size(width, height);
    const auto pixels = static_cast<std::size_t>(width * height);
    if (rest_.size() < (is_grey ? 1 : 3) * pixels) throw VisionError("it ends too early");
    Image image = make_image(width, height);
    for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = rest_[is_grey ? i / 3 : i];
    return image;
  }

 private:
  [[noreturn]] static void fail() { throw VisionError("its header is damaged"); }

  /// The next number of the header. What is too large for any picture stays too large.
  std::int64_t number() {
    while (!rest_.empty() && (std::isspace(rest_[0]) != 0 || rest_[0] == '#')) {
      if (rest_[0] == '#')
        while (!rest_.empty() && rest_[0] != '\n') rest_ = rest_.subspan(1);
      else
        rest_ = rest_.subspan(1);
    }
    if (rest_.empty() || std::isdigit(rest_[0]) == 0) fail();
    std::int64_t value = 0;
    for (; !rest_.empty() && std::isdigit(rest_[0]) != 0; rest_ = rest_.subspan(1))
      value = std::min(10 * value + (rest_[0] - '0'), max_pixels + 1);
    return value;
  }

  std::span<const unsigned char> rest_;
};

}  // namespace mnv3::vision
