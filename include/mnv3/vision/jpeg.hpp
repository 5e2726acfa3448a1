// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>  // jpeglib.h needs it
#include <span>
#include <string>
#include <string_view>
#include <tuple>

#include <jpeglib.h>

#include <jerror.h>

#include <mnv3/vision/decoder_errors.hpp>
#include <mnv3/vision/exif.hpp>
#include <mnv3/vision/image.hpp>

namespace mnv3::vision {

/// Reads one JPEG as RGB, with libjpeg's defaults, as Pillow does. Four components are taken for
/// CMYK that Adobe's programs wrote, which is stored inverted, as Pillow takes them.
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

  /// Errors  VisionError with libjpeg's message, or with ours where libjpeg would make up pixels.
  Image decode() {
    if (!read_header()) throw VisionError(errors_.message.data());
    orientation_ = exif_orientation(exif_);
    check_frame();
    if (!read_scans()) throw VisionError(errors_.message.data());
    Image image = make_image(jpeg_.image_width, jpeg_.image_height);
    if (!read_pixels(image.rgb.data(), image.row_bytes()))
      throw VisionError(errors_.message.data());
    return image;
  }

  /// What its EXIF data say, from 1 to 8, after `decode`; see `ExifReader`.
  int orientation() const { return orientation_; }

 private:
  /// Encoders write about ten. Each may cover the whole picture with a few bytes.
  static constexpr int most_scans = 100;

  /// What all scans together may cost, in looks at a coefficient. One that corrects coefficients
  /// looks at all of its band, and each one costs as much as some looks even if it does nothing.
  /// Encoders' scripts cost 190 a block. A file with more bytes may cost more.
  static constexpr std::uint64_t looks_a_visit = 16, most_looks_a_block = 256,
                                 most_looks_a_byte = 128;

  /// Refuses what libjpeg would spend much time or memory on, or decode without noticing damage.
  void check_frame() {
    const int components = jpeg_.num_components;
    if (components != 1 && components != 3 && components != 4)
      throw VisionError("it has " + std::to_string(components) +
                        " components; only grey, colour and CMYK pictures are read");
    if (jpeg_.arith_code != FALSE)
      throw VisionError(
          "it is arithmetic-coded, so that damage cannot be noticed; save it as PNG or as a JPEG "
          "with "
          "Huffman coding");
    check_image_size(jpeg_.image_width, jpeg_.image_height);
    for (int i = 0; i < components; ++i) blocks_ += blocks_of(jpeg_.comp_info[i]);
    // A block takes a code of at least one bit for its mean, and another one for the rest, which in
    // progressive JPEGs many blocks can share.
    const std::uint64_t bits = blocks_ * (jpeg_.progressive_mode != FALSE ? 1U : 2U);
    if (bits / 8 > bytes_.size())
      throw VisionError("it ends too early: its " + std::to_string(jpeg_.image_width) + " x " +
                        std::to_string(jpeg_.image_height) + " pixels do not fit into " +
                        std::to_string(bytes_.size()) + " bytes");
  }

  static std::uint64_t blocks_of(const jpeg_component_info& component) {
    return std::uint64_t{component.width_in_blocks} * component.height_in_blocks;
  }

  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_.progress = &progress_;
    progress_.progress_monitor = limit_work;
    jpeg_mem_src(&jpeg_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
    jpeg_set_marker_processor(&jpeg_, JPEG_APP0 + 1, keep_exif);
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }

  /// All of them, if there are several: only together do they give pixels.
  bool read_scans() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_.out_color_space = jpeg_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&jpeg_);
    require_all_coefficients();
    return true;
  }

  bool read_pixels(unsigned char* pixels, std::size_t row_bytes) {
    if (setjmp(errors_.jump) != 0) return false;
    const bool is_cmyk = jpeg_.num_components == 4;
    const JSAMPARRAY four =
        is_cmyk ? jpeg_.mem->alloc_sarray(base(), JPOOL_IMAGE, 4 * jpeg_.output_width, 1) : nullptr;
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW row = pixels + jpeg_.output_scanline * row_bytes;
      jpeg_read_scanlines(&jpeg_, is_cmyk ? four : &row, 1);
      if (is_cmyk) to_rgb(four[0], row, jpeg_.output_width);
    }
    jpeg_finish_decompress(&jpeg_);
    return true;
  }

  /// From inverted CMYK, so that 255 is no ink.
  /// Source  Pillow 9.4 src/libImaging/Convert.c cmyk2rgb: how it rounds.
  static void to_rgb(const unsigned char* cmyk, unsigned char* rgb, std::size_t pixels) {
    for (std::size_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
      const unsigned light = cmyk[3];
      for (std::size_t c = 0; c < 3; ++c) {
        const unsigned ink = (255U - cmyk[c]) * light + 128U;
        const unsigned taken = (ink + (ink >> 8)) >> 8;  // a 255th of it, rounded
        rgb[c] = static_cast<unsigned char>(light - std::min(taken, light));
      }
    }
  }

  /// What no scan brought libjpeg takes for zero, or guesses.
  void require_all_coefficients() {
    for (int i = 0; i < jpeg_.num_components; ++i) {
      bool has_all = jpeg_.comp_info[i].quant_table != nullptr;  // kept from its first scan on
      for (int k = 0; has_all && jpeg_.progressive_mode != FALSE && k < DCTSIZE2; ++k)
        has_all = jpeg_.coef_bits[i][k] == 0;
      if (!has_all) fail_with("it ends too early: not all of its scans are there");
    }
  }

  j_common_ptr base() { return reinterpret_cast<j_common_ptr>(&jpeg_); }

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

  [[noreturn]] void fail_with(const char* message) {
    std::snprintf(errors_.message.data(), errors_.message.size(), "%s", message);
    std::longjmp(errors_.jump, 1);
  }

  /// libjpeg calls it while it reads scans, at the latest after a row of blocks.
  static void limit_work(j_common_ptr jpeg) { self(jpeg).count_scan(); }

  void count_scan() {
    if (jpeg_.input_scan_number == scans_) return;
    scans_ = jpeg_.input_scan_number;
    static_assert(most_scans == 100, "the message says it");
    if (scans_ > most_scans) fail_with("it has more than 100 scans");
    const auto band = static_cast<std::uint64_t>(jpeg_.Se - jpeg_.Ss + 1);
    const std::uint64_t looks = jpeg_.Ah > 0 ? std::max(band, looks_a_visit) : looks_a_visit;
    for (int i = 0; i < jpeg_.comps_in_scan; ++i)
      looks_ += looks * blocks_of(*jpeg_.cur_comp_info[i]);
    if (looks_ > most_looks_a_block * blocks_ + most_looks_a_byte * bytes_.size())
      fail_with("its scans go over the picture too often for so small a file");
  }

  /// Remembers the first EXIF segment, damaged or not, and passes over all of this kind.
  static boolean keep_exif(j_decompress_ptr jpeg) {
    using namespace std::string_view_literals;
    constexpr std::string_view name = "Exif\0\0"sv;
    JpegDecoder& decoder = *static_cast<JpegDecoder*>(jpeg->client_data);
    jpeg_source_mgr& source = *jpeg->src;
    const std::span<const unsigned char> rest(source.next_input_byte, source.bytes_in_buffer);
    if (rest.size() < 2) decoder.fail_with("it ends too early");
    const std::size_t size = std::max<std::size_t>(std::size_t{rest[0]} << 8 | rest[1], 2);
    if (size > rest.size()) decoder.fail_with("it ends too early");
    const auto data = rest.first(size).subspan(2);
    const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    if (!decoder.has_exif_ && text.starts_with(name.substr(0, 5))) {
      decoder.has_exif_ = true;
      if (text.starts_with(name)) decoder.exif_ = data.subspan(name.size());
    }
    source.next_input_byte += size;
    source.bytes_in_buffer -= size;
    return TRUE;
  }

  std::span<const unsigned char> bytes_;
  DecoderErrors errors_;
  jpeg_error_mgr manager_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct jpeg_{};
  std::span<const unsigned char> exif_;
  bool has_exif_ = false;
  int orientation_ = 1;
  std::uint64_t blocks_ = 0;  ///< In the picture, of all components.
  std::uint64_t looks_ = 0;   ///< By all scans so far.
  int scans_ = 0;
};

}  // namespace mnv3::vision
