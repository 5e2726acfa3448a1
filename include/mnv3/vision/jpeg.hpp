// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs it
#include <span>

#include <jpeglib.h>

#include <jerror.h>

#include <mnv3/vision/decoder_errors.hpp>
#include <mnv3/vision/image.hpp>

namespace mnv3::vision {

/// Reads one JPEG as RGB, with libjpeg's defaults, as Pillow does. The orientation that a camera
/// noted is ignored.
class JpegDecoder {
 public:
  explicit JpegDecoder(std::span<const unsigned char> bytes) : bytes_(bytes) {
    jpeg_.err = jpeg_std_error(&manager_);
    manager_.error_exit = fail;
    manager_.emit_message = warn;
    jpeg_.client_data = this;
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&jpeg_); }

  /// Errors  VisionError with libjpeg's message.
  Image decode() {
    if (!read_header()) throw VisionError(errors_.message.data());
    if (jpeg_.num_components != 1 && jpeg_.num_components != 3)
      throw VisionError("its colours are CMYK; save it as RGB");
    Image image = make_image(jpeg_.image_width, jpeg_.image_height);
    if (!read_pixels(image.rgb.data(), image.row_bytes()))
      throw VisionError(errors_.message.data());
    return image;
  }

 private:
  /// Encoders write about ten. Each may cover the whole picture with a few bytes.
  static constexpr int most_scans = 100;

  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_.progress = &progress_;
    progress_.progress_monitor = limit_scans;
    jpeg_mem_src(&jpeg_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }

  bool read_pixels(unsigned char* pixels, std::size_t row_bytes) {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg_);
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW row = pixels + jpeg_.output_scanline * row_bytes;
      jpeg_read_scanlines(&jpeg_, &row, 1);
    }
    jpeg_finish_decompress(&jpeg_);
    return true;
  }

  static JpegDecoder& self(j_common_ptr jpeg) {
    return *static_cast<JpegDecoder*>(jpeg->client_data);
  }

  [[noreturn]] static void fail(j_common_ptr jpeg) {
    static_assert(std::tuple_size_v<decltype(DecoderErrors::message)> >= JMSG_LENGTH_MAX);
    jpeg->err->format_message(jpeg, self(jpeg).errors_.message.data());
    std::longjmp(self(jpeg).errors_.jump, 1);
  }

  /// What libjpeg only warns of, and then makes up pixels, is an error; what does no harm is not.
  static void warn(j_common_ptr jpeg, int level) {
    constexpr std::array harmless{JWRN_ADOBE_XFORM, JWRN_EXTRANEOUS_DATA, JWRN_JFIF_MAJOR};
    if (level < 0 && std::ranges::find(harmless, jpeg->err->msg_code) == harmless.end()) fail(jpeg);
  }

  static void limit_scans(j_common_ptr jpeg) {
    if (self(jpeg).jpeg_.input_scan_number <= most_scans) return;
    std::snprintf(self(jpeg).errors_.message.data(), self(jpeg).errors_.message.size(),
                  "it has more than %d scans", most_scans);
    std::longjmp(self(jpeg).errors_.jump, 1);
  }

  std::span<const unsigned char> bytes_;
  DecoderErrors errors_;
  jpeg_error_mgr manager_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct jpeg_{};
};

}  // namespace mnv3::vision
