// SPDX-License-Identifier: MIT
#pragma once

#include "doctest_torch.hpp"

#include <mnv3/vision/image_file.hpp>
#include <mnv3/weights/bytes/crc32.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

// Pictures in files, made by libpng and libjpeg themselves or by hand.

namespace pictures {

using Bytes = std::vector<unsigned char>;

constexpr int width = 37, height = 23;

inline mnv3::Image gradient(int wide = width, int high = height) {
  mnv3::Image image = mnv3::make_image(wide, high);
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] = static_cast<std::uint8_t>(i * i / 7);
  return image;
}

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

inline void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

/// The first `size` bytes.
inline Bytes cut(const Bytes& bytes, std::size_t size) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

inline Bytes inserted(Bytes bytes, std::size_t at, const Bytes& more) {
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), more.begin(), more.end());
  return bytes;
}

/// Overwrites a big-endian number.
inline void put(Bytes& bytes, std::size_t at, std::uint32_t value, int size) {
  for (int i = 0; i < size; ++i)
    bytes[at + static_cast<std::size_t>(i)] =
        static_cast<unsigned char>(value >> (8 * (size - 1 - i)));
}

inline Bytes number(std::uint32_t value, int size) {
  Bytes bytes(static_cast<std::size_t>(size));
  put(bytes, 0, value, size);
  return bytes;
}

inline std::size_t find(const Bytes& bytes, std::string_view text, std::size_t from = 0) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())
      .find(text, from);
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What `decode_image` says; empty if it accepts the bytes.
inline std::string refusal(const Bytes& bytes) {
  try {
    const mnv3::Image image = mnv3::decode_image(bytes);
    CHECK(image.rgb.size() == image.row_bytes() * static_cast<std::size_t>(image.height));
  } catch (const mnv3::VisionError& error) {
    return error.what();
  }
  return {};
}

inline Bytes png_of(const mnv3::Image& image) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  REQUIRE(png_image_write_to_memory(&header, nullptr, &size, 0, image.rgb.data(), 0, nullptr));
  Bytes bytes(size);
  REQUIRE(png_image_write_to_memory(&header, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr));
  bytes.resize(size);
  return bytes;
}

inline Bytes png_chunk(std::string_view type, const Bytes& data) {
  Bytes chunk = number(static_cast<std::uint32_t>(data.size()), 4);
  append(chunk, bytes_of(type));
  append(chunk, data);
  append(chunk, number(mnv3::weights::crc32(0, chunk.data() + 4, chunk.size() - 4), 4));
  return chunk;
}

/// Where the header of a PNG ends.
inline constexpr std::size_t after_png_header = 33;

/// Replaces the sizes in a PNG's header, with the checksum that belongs to them.
inline Bytes with_png_size(Bytes png, std::uint32_t wide, std::uint32_t high) {
  put(png, 16, wide, 4);
  put(png, 20, high, 4);
  put(png, 29, mnv3::weights::crc32(0, &png[12], 17), 4);
  return png;
}

enum class Coding { baseline, progressive, one_scan_for_each_colour };

/// `channels` bytes a pixel: grey, RGB, or CMYK as it is stored.
struct Raster {
  int width, height, channels;
  std::vector<std::uint8_t> bytes;
};

struct JpegOptions {
  Coding coding = Coding::baseline;
  J_COLOR_SPACE stored = JCS_UNKNOWN;   ///< Unknown: what libjpeg chooses.
  bool has_adobe_segment = true;        ///< In CMYK.
  bool is_subsampled = true;            ///< In colours, by libjpeg's default.
  std::vector<jpeg_scan_info> scans{};  ///< Instead of those of `coding`.
};

inline Bytes jpeg_of(const Raster& raster, const JpegOptions& options) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &memory, &size);
  jpeg.image_width = static_cast<JDIMENSION>(raster.width);
  jpeg.image_height = static_cast<JDIMENSION>(raster.height);
  jpeg.input_components = raster.channels;
  jpeg.in_color_space = raster.channels == 1   ? JCS_GRAYSCALE
                        : raster.channels == 3 ? JCS_RGB
                        : raster.channels == 4 ? JCS_CMYK
                                               : JCS_UNKNOWN;
  jpeg_set_defaults(&jpeg);
  if (options.stored != JCS_UNKNOWN) jpeg_set_colorspace(&jpeg, options.stored);
  if (!options.has_adobe_segment) jpeg.write_Adobe_marker = FALSE;
  if (!options.is_subsampled) jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
  const std::array<jpeg_scan_info, 3> scans{{{1, {0, 0, 0, 0}, 0, 63, 0, 0},
                                             {1, {1, 0, 0, 0}, 0, 63, 0, 0},
                                             {1, {2, 0, 0, 0}, 0, 63, 0, 0}}};
  if (options.coding == Coding::progressive) jpeg_simple_progression(&jpeg);
  if (options.coding == Coding::one_scan_for_each_colour) {
    jpeg.scan_info = scans.data();
    jpeg.num_scans = 3;
  }
  if (!options.scans.empty()) {
    jpeg.scan_info = options.scans.data();
    jpeg.num_scans = static_cast<int>(options.scans.size());
  }
  jpeg_start_compress(&jpeg, TRUE);
  const auto row_bytes = static_cast<std::size_t>(raster.width * raster.channels);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = const_cast<std::uint8_t*>(&raster.bytes[jpeg.next_scanline * row_bytes]);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  Bytes bytes(memory, memory + size);
  std::free(memory);
  return bytes;
}

inline Bytes jpeg_of(const mnv3::Image& image, Coding coding) {
  return jpeg_of(Raster{image.width, image.height, 3, image.rgb}, {.coding = coding});
}

/// A segment of a JPEG.
inline Bytes segment(unsigned char marker, const Bytes& data) {
  Bytes bytes{0xff, marker};
  append(bytes, number(static_cast<std::uint32_t>(data.size() + 2), 2));
  append(bytes, data);
  return bytes;
}

/// EXIF data, in either order of bytes, that note an orientation.
inline Bytes exif(unsigned orientation, bool is_big_endian = true) {
  const auto low = static_cast<unsigned char>(orientation);
  if (is_big_endian)
    return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, low, 0, 0, 0, 0, 0, 0};
  return {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, low, 0, 0, 0, 0, 0, 0, 0};
}

}  // namespace pictures
