// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>

#include <png.h>

#include <mnv3/vision/decoder_errors.hpp>
#include <mnv3/vision/image.hpp>

namespace mnv3::vision {

/// Reads one PNG as RGB: opacity, colour profiles and gamma are ignored, as by Pillow's
/// `convert("RGB")`; of 16 bits the upper eight count.
class PngDecoder {
 public:
  explicit PngDecoder(std::span<const unsigned char> bytes) : rest_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, fail, [](png_structp, auto) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }

  /// Errors  VisionError with libpng's message.
  Image decode() {
    if (!read_header()) throw VisionError(errors_.message.data());
    Image image = make_image(png_get_image_width(png_, info_), png_get_image_height(png_, info_));
    if (png_get_rowbytes(png_, info_) != image.row_bytes())
      throw VisionError("its pixels cannot be converted to RGB");
    if (!read_pixels(image.rgb.data(), image.row_bytes()))
      throw VisionError(errors_.message.data());
    return image;
  }

 private:
  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    png_set_read_fn(png_, this, read);
    // Of the chunks besides the pixels only palettes count. Texts could unpack to gigabytes.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    png_set_expand(png_);
    png_set_strip_16(png_);
    png_set_gray_to_rgb(png_);
    png_set_strip_alpha(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  bool read_pixels(unsigned char* pixels, std::size_t row_bytes) {
    if (setjmp(errors_.jump) != 0) return false;
    const std::size_t height = png_get_image_height(png_, info_);
    for (int pass = 0; pass < passes_; ++pass)
      for (std::size_t y = 0; y < height; ++y) png_read_row(png_, pixels + y * row_bytes, nullptr);
    png_read_end(png_, nullptr);
    return true;
  }

  static void read(png_structp png, png_bytep to, std::size_t count) {
    std::span<const unsigned char>& rest = static_cast<PngDecoder*>(png_get_io_ptr(png))->rest_;
    if (count > rest.size()) png_error(png, "it ends too early");
    std::copy_n(rest.begin(), count, to);
    rest = rest.subspan(count);
  }

  [[noreturn]] static void fail(png_structp png, png_const_charp message) {
    DecoderErrors& errors = static_cast<PngDecoder*>(png_get_error_ptr(png))->errors_;
    std::strncpy(errors.message.data(), message, errors.message.size() - 1);
    std::longjmp(errors.jump, 1);
  }

  std::span<const unsigned char> rest_;
  DecoderErrors errors_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 0;
};

}  // namespace mnv3::vision
