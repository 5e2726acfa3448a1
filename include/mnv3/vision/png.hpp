// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>

#include <png.h>

#include <mnv3/vision/decoder_errors.hpp>
#include <mnv3/vision/exif.hpp>
#include <mnv3/vision/image.hpp>
#include <mnv3/weights/bytes/crc32.hpp>

namespace mnv3::vision {

/// Reads one PNG as RGB: opacity, colour profiles and gamma are ignored, as by Pillow's
/// `convert("RGB")`; of 16 bits the upper eight count. What follows the pixels may be missing.
class PngDecoder {
 public:
  explicit PngDecoder(std::span<const unsigned char> bytes) : rest_(bytes), size_(bytes.size()) {
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
    check_image_size(image_width(), image_height());
    if (packed_row_bytes_ * image_height() / most_unpacked > size_)
      throw VisionError("it ends too early: its " + std::to_string(image_width()) + " x " +
                        std::to_string(image_height()) + " pixels do not fit into " +
                        std::to_string(size_) + " bytes");
    Image image = make_image(image_width(), image_height());
    if (png_get_rowbytes(png_, info_) != image.row_bytes())
      throw VisionError("its pixels cannot be converted to RGB");
    if (!read_pixels(image.rgb.data(), image.row_bytes()))
      throw VisionError(errors_.message.data());
    return image;
  }

  /// What its EXIF data say, from 1 to 8, after `decode`; see `ExifReader`.
  int orientation() const { return orientation_; }

 private:
  static constexpr std::size_t length_bytes = 4, type_bytes = 4, crc_bytes = 4;

  /// No byte unpacks to more.
  /// Source  RFC 1951 3.2.5: 258 bytes by two codes of one bit each.
  static constexpr std::size_t most_unpacked = 1032;

  static constexpr std::size_t most_at_once = 8192;

  /// What may be between the last pixel and the next chunk: encoders leave a few bytes there, and
  /// libpng would unpack them all.
  static constexpr std::size_t most_left_over = std::size_t{1} << 16;

  png_uint_32 image_width() const { return png_get_image_width(png_, info_); }
  png_uint_32 image_height() const { return png_get_image_height(png_, info_); }

  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    png_set_read_fn(png_, this, read);
    // Of the chunks besides the pixels only palettes count. Texts could unpack to gigabytes.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_read_user_chunk_fn(png_, this, look_at_chunk);
    png_set_read_user_transform_fn(png_, look_at_row);
    png_read_info(png_, info_);
    packed_row_bytes_ = png_get_rowbytes(png_, info_);
    png_set_expand(png_);
    png_set_strip_16(png_);
    png_set_gray_to_rgb(png_);
    png_set_strip_alpha(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  bool read_pixels(unsigned char* pixels, std::size_t row_bytes) {
    if (setjmp(errors_.jump) != 0) return stage_ == Stage::no_end;
    const std::size_t height = image_height();
    for (int pass = 0; pass < passes_; ++pass)
      for (std::size_t y = 0; y < height; ++y) {
        if (pass + 1 == passes_ && y + 1 == height) {
          stage_ = Stage::last_row;
          // The last pass of interlaced pixels has only every second row.
          if (passes_ > 1 && height % 2 == 1) stage_ = Stage::after_pixels;
        }
        png_read_row(png_, pixels + y * row_bytes, nullptr);
      }
    stage_ = Stage::end;
    png_read_end(png_, info_);  // without it, EXIF data behind the pixels would be passed over
    return true;
  }

  static PngDecoder& self(png_structp png) {
    return *static_cast<PngDecoder*>(png_get_io_ptr(png));
  }

  static void read(png_structp png, png_bytep to, std::size_t count) {
    PngDecoder& decoder = self(png);
    std::span<const unsigned char>& rest = decoder.rest_;
    if (count > rest.size()) decoder.end_early();
    std::copy_n(rest.begin(), count, to);
    rest = rest.subspan(count);
    decoder.keep_count(to, count);
    // How many bytes libpng takes at once: no more than there are, or the last ones would be lost.
    png_set_compression_buffer_size(png, std::clamp<std::size_t>(rest.size(), 1, most_at_once));
  }

  /// After the pixels, a file may end anywhere except inside another chunk, as in Pillow.
  [[noreturn]] void end_early() {
    if (stage_ != Stage::after_pixels && !(stage_ == Stage::end && left_of_chunk_ <= crc_bytes))
      png_error(png_, "it ends too early");
    stage_ = Stage::no_end;
    std::longjmp(errors_.jump, 1);
  }

  void keep_count(const unsigned char* read, std::size_t count) {
    if (stage_ == Stage::after_pixels && (left_over_ += count) > most_left_over)
      png_error(png_, "it has more data than pixels");
    if (stage_ != Stage::end) return;
    if (left_of_chunk_ > 0) {
      left_of_chunk_ -= count;
      return;
    }
    left_of_chunk_ = crc_bytes;  // a new chunk begins: its length and type were read
    if (count == length_bytes + type_bytes) left_of_chunk_ += png_get_uint_32(read);
  }

  /// libpng calls it with each row once it is unpacked.
  static void look_at_row(png_structp png, png_row_infop, png_bytep) {
    Stage& stage = self(png).stage_;
    if (stage == Stage::last_row) stage = Stage::after_pixels;
  }

  /// The last EXIF data before the pixels count, or else the last ones behind them, as in Pillow.
  static int look_at_chunk(png_structp png, png_unknown_chunkp chunk) {
    PngDecoder& decoder = self(png);
    const bool is_late = (chunk->location & PNG_AFTER_IDAT) != 0;
    if (std::memcmp(chunk->name, "eXIf", type_bytes) == 0 &&
        !(is_late && decoder.has_early_exif_) && decoder.is_intact(*chunk)) {
      decoder.has_early_exif_ = !is_late;
      decoder.orientation_ = exif_orientation({chunk->data, chunk->size});
    }
    return 1;  // it is done with
  }

  /// libpng hands over also those whose check sum, which it has read just now, is wrong.
  bool is_intact(const png_unknown_chunk& chunk) const {
    const std::uint32_t of_type = weights::crc32(0, chunk.name, type_bytes);
    return weights::crc32(of_type, chunk.data, chunk.size) ==
           png_get_uint_32(rest_.data() - crc_bytes);
  }

  [[noreturn]] static void fail(png_structp png, png_const_charp message) {
    DecoderErrors& errors = static_cast<PngDecoder*>(png_get_error_ptr(png))->errors_;
    std::strncpy(errors.message.data(), message, errors.message.size() - 1);
    std::longjmp(errors.jump, 1);
  }

  enum class Stage { pixels, last_row, after_pixels, end, no_end };

  std::span<const unsigned char> rest_;
  std::size_t size_;
  DecoderErrors errors_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 0;
  std::size_t packed_row_bytes_ = 0;  ///< Of a row in the file.
  Stage stage_ = Stage::pixels;
  std::size_t left_over_ = 0;      ///< How many bytes were read after the pixels.
  std::size_t left_of_chunk_ = 0;  ///< After them, of the chunk that is being read.
  int orientation_ = 1;
  bool has_early_exif_ = false;
};

}  // namespace mnv3::vision
