// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <mnv3/vision/foreign_file.hpp>
#include <mnv3/vision/image.hpp>
#include <mnv3/vision/jpeg.hpp>
#include <mnv3/vision/orientation.hpp>
#include <mnv3/vision/png.hpp>
#include <mnv3/vision/ppm.hpp>

namespace mnv3 {

/// How pictures are decoded. By default, what Pillow's `Image.open(...).convert("RGB")` gives.
struct DecodeOptions {
  /// Turns and mirrors the picture as the EXIF data of a JPEG or PNG say that it is to be seen, as
  /// `PIL.ImageOps.exif_transpose` does. Without it the pixels stay as they are stored, and a
  /// photograph may lie on its side.
  bool apply_orientation = false;
};

/// Decodes a PNG, a JPEG, or a binary PPM or PGM, whichever the first bytes say.
///
/// The pixels are those that Pillow's `Image.open(...).convert("RGB")` gives, CMYK and YCCK JPEGs
/// included, except that 16-bit grey is scaled where Pillow clips it. The orientation that a camera
/// noted is applied only on request; see `DecodeOptions`.
///
/// Errors  VisionError if it is damaged, ends before all pixels are there, has more than
///         `max_pixels`, or is of another kind, which is named. A JPEG is also refused if it is
///         arithmetic-coded, or if its scans do more than those of any encoder.
inline Image decode_image(std::span<const unsigned char> bytes, const DecodeOptions& options = {}) {
  const auto begins_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), bytes.begin(),
                      [](char a, unsigned char b) { return static_cast<unsigned char>(a) == b; });
  };
  const auto decoded_by = [&](auto&& decoder) {
    Image image = decoder.decode();
    if (!options.apply_orientation) return image;
    return vision::upright(std::move(image), decoder.orientation());
  };
  if (begins_with("\x89PNG\r\n\x1a\n")) return decoded_by(vision::PngDecoder(bytes));
  if (begins_with("\xff\xd8\xff")) return decoded_by(vision::JpegDecoder(bytes));
  if (begins_with("P5") || begins_with("P6")) return vision::PpmDecoder(bytes).decode();
  throw VisionError(vision::what_is_foreign(bytes));
}

/// `decode_image` of a file, or of what a pipe brings.
///
/// Errors  VisionError that names the file, also if it cannot be read or has more than 256 MiB.
inline Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {}) {
  const auto fail = [&](const std::string& why) {
    throw VisionError("mnv3: cannot read " + path.string() + ": " + why);
  };
  constexpr std::size_t most_bytes = std::size_t{1} << 28, piece = std::size_t{1} << 16;
  std::error_code ignored;  // whatever else is wrong, opening the file says so
  if (std::filesystem::is_directory(path, ignored)) fail("it is a directory");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(std::generic_category().message(errno));
  std::vector<unsigned char> bytes;
  while (file) {
    const std::size_t size = bytes.size();
    if (size > most_bytes) fail("it has more than " + std::to_string(most_bytes) + " bytes");
    bytes.resize(size + piece);
    file.read(reinterpret_cast<char*>(bytes.data() + size), piece);
    bytes.resize(size + static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) fail(std::generic_category().message(errno));
  try {
    return decode_image(bytes, options);
  } catch (const VisionError& error) {
    fail(error.what());
    throw;
  }
}

}  // namespace mnv3
