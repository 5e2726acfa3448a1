// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mnv3 {

/// How a pixel's bytes follow each other.
enum class PixelFormat { rgb, bgr, rgba, bgra, grey };

/// A picture of bytes as cameras, decoders and windows have it: seen, not owned.
///
/// Units  0 to 255, as in a PNG or JPEG file. The alpha of RGBA and BGRA is not looked at. A network
///        for three channels sees grey as equal parts of red, green and blue.
struct Frame {
  const std::uint8_t* pixels = nullptr;  ///< The first byte of the upper left pixel.
  std::int64_t height = 0;
  std::int64_t width = 0;
  /// From the beginning of a row to that of the next one; 0: rows follow each other. Negative where
  /// the picture is upside down in memory.
  std::ptrdiff_t row_bytes = 0;
  PixelFormat format = PixelFormat::rgb;

  static constexpr Frame rgb(const std::uint8_t* pixels, std::int64_t height, std::int64_t width,
                             std::ptrdiff_t row_bytes = 0) {
    return {pixels, height, width, row_bytes, PixelFormat::rgb};
  }
  /// OpenCV's order.
  static constexpr Frame bgr(const std::uint8_t* pixels, std::int64_t height, std::int64_t width,
                             std::ptrdiff_t row_bytes = 0) {
    return {pixels, height, width, row_bytes, PixelFormat::bgr};
  }
  static constexpr Frame rgba(const std::uint8_t* pixels, std::int64_t height, std::int64_t width,
                              std::ptrdiff_t row_bytes = 0) {
    return {pixels, height, width, row_bytes, PixelFormat::rgba};
  }
  static constexpr Frame bgra(const std::uint8_t* pixels, std::int64_t height, std::int64_t width,
                              std::ptrdiff_t row_bytes = 0) {
    return {pixels, height, width, row_bytes, PixelFormat::bgra};
  }
  static constexpr Frame grey(const std::uint8_t* pixels, std::int64_t height, std::int64_t width,
                              std::ptrdiff_t row_bytes = 0) {
    return {pixels, height, width, row_bytes, PixelFormat::grey};
  }
};

namespace engine {

/// Where the channels of a pixel are.
struct PixelLayout {
  std::int64_t bytes;    ///< Of a pixel.
  std::int64_t first;    ///< The byte of red, or of grey.
  std::int64_t to_next;  ///< From red to green and from green to blue.
};

constexpr PixelLayout layout_of(PixelFormat format) {
  switch (format) {
    case PixelFormat::rgb:
      return {3, 0, 1};
    case PixelFormat::bgr:
      return {3, 2, -1};
    case PixelFormat::rgba:
      return {4, 0, 1};
    case PixelFormat::bgra:
      return {4, 2, -1};
    case PixelFormat::grey:
      return {1, 0, 0};
  }
  return {};
}

/// From the beginning of a row to that of the next one.
constexpr std::int64_t row_bytes_of(const Frame& frame) {
  return frame.row_bytes != 0 ? frame.row_bytes : frame.width * layout_of(frame.format).bytes;
}

}  // namespace engine

/// A batch of pictures of floats with any strides, as tensors have them: seen, not owned.
///
/// Units  What the architecture's `Settings::input` says. Strides are in floats.
struct PictureView {
  const float* data = nullptr;
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t batch_stride = 0;
  std::int64_t channel_stride = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;

  /// Dense, channel by channel: PyTorch's usual layout.
  static constexpr PictureView nchw(const float* data, std::int64_t n, std::int64_t c,
                                    std::int64_t h, std::int64_t w) {
    return {data, n, c, h, w, c * h * w, h * w, w, 1};
  }
  /// Dense, pixel by pixel: `channels_last`.
  static constexpr PictureView nhwc(const float* data, std::int64_t n, std::int64_t h,
                                    std::int64_t w, std::int64_t c) {
    return {data, n, c, h, w, h * w * c, 1, w * c, c};
  }
};

}  // namespace mnv3
