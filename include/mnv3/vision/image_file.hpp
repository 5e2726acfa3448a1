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
#include <vector>

#include <mnv3/vision/image.hpp>
#include <mnv3/vision/jpeg.hpp>
#include <mnv3/vision/png.hpp>
#include <mnv3/vision/ppm.hpp>

namespace mnv3 {

/// Decodes a PNG, a JPEG, or a binary PPM or PGM, whichever the first bytes say.
///
/// The pixels are those that Pillow's `Image.open(...).convert("RGB")` gives, except that 16-bit
/// grey is scaled where Pillow clips it. The orientation that a camera noted is not applied.
///
/// Errors  VisionError if it is damaged, ends too early, is of another kind, or has more than
///         `max_pixels`.
inline Image decode_image(std::span<const unsigned char> bytes) {
  const auto begins_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), bytes.begin(),
                      [](char a, unsigned char b) { return static_cast<unsigned char>(a) == b; });
  };
  if (begins_with("\x89PNG\r\n\x1a\n")) return vision::PngDecoder(bytes).decode();
  if (begins_with("\xff\xd8\xff")) return vision::JpegDecoder(bytes).decode();
  if (begins_with("P5") || begins_with("P6")) return vision::PpmDecoder(bytes).decode();
  throw VisionError("it is not a PNG, a JPEG, or a binary PPM or PGM");
}

/// `decode_image` of a file, or of what a pipe brings.
///
/// Errors  VisionError that names the file, also if it cannot be read or has more than 256 MiB.
inline Image read_image(const std::filesystem::path& path) {
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
    return decode_image(bytes);
  } catch (const VisionError& error) {
    fail(error.what());
    throw;
  }
}

}  // namespace mnv3
