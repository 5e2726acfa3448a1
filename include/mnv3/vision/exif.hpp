// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mnv3::vision {

/// Reads the orientation out of EXIF data, which are a small TIFF file.
/// Source  TIFF 6.0, p. 13-16; Pillow 9.4 TiffImagePlugin.py L491-856: what of it may be damaged,
///         and which types a number may have.
class ExifReader {
 public:
  explicit ExifReader(std::span<const unsigned char> tiff) : tiff_(tiff) {}

  /// From 1, upright, to 8. Also 1 where nothing, or nothing readable, is said.
  int orientation() {
    if (!read_header()) return 1;
    std::size_t at = number(4, 4);
    if (!has(at, 2)) return 1;
    const std::size_t entries = number(at, 2);
    at += 2;
    int found = 1;
    for (std::size_t i = 0; i < entries && has(at, entry_bytes); ++i, at += entry_bytes) {
      const std::size_t type = number(at + 2, 2), bytes = number(at + 4, 4) * size_of(type);
      if (bytes == 0) continue;
      const std::size_t value = bytes > 4 ? number(at + 8, 4) : at + 8;
      if (!has(value, bytes)) break;
      if (number(at, 2) == orientation_tag) found = orientation_at(value, type);
    }
    return found;
  }

 private:
  static constexpr std::size_t entry_bytes = 12;
  static constexpr std::size_t orientation_tag = 0x112;
  enum Type : std::size_t {
    unsigned_short = 3,
    unsigned_long = 4,
    rational = 5,
    signed_byte = 6,
    signed_short = 8,
    signed_long = 9,
    signed_rational = 10,
    float32 = 11,
    float64 = 12,
    directory = 13,
    unsigned_long8 = 16
  };

  /// The order of bytes, by two letters. What follows them is 42, in either order; Pillow takes
  /// one of BigTIFF's two headers for TIFF's, too.
  bool read_header() {
    using namespace std::string_view_literals;
    constexpr std::array headers{"MM\0\x2a"sv, "MM\x2a\0"sv, "II\x2a\0"sv, "II\0\x2a"sv,
                                 "MM\0\x2b"sv};
    if (!has(0, 8)) return false;
    big_endian_ = tiff_[0] == 'M';
    for (const std::string_view header : headers) {
      bool same = true;
      for (std::size_t i = 0; i < header.size(); ++i)
        same = same && tiff_[i] == static_cast<unsigned char>(header[i]);
      if (same) return true;
    }
    return false;
  }

  bool has(std::size_t at, std::size_t bytes) const {
    return at <= tiff_.size() && bytes <= tiff_.size() - at;
  }

  /// 0 for types that nobody knows: such an entry is passed over.
  static std::size_t size_of(std::size_t type) {
    constexpr std::array<std::size_t, 17> sizes{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
    return type < sizes.size() ? sizes[type] : 0;
  }

  std::uint64_t number(std::size_t at, std::size_t bytes) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value = value << 8 | tiff_[at + (big_endian_ ? i : bytes - 1 - i)];
    return value;
  }

  /// 1 unless the number is one from 2 to 8, whatever its type. Bytes and text are no numbers.
  int orientation_at(std::size_t at, std::size_t type) const {
    for (int value = 2; value <= 8; ++value)
      if (is(value, at, type)) return value;
    return 1;
  }

  bool is(int value, std::size_t at, std::size_t type) const {
    const auto whole = static_cast<std::uint64_t>(value);
    switch (type) {
      case unsigned_short:
      case unsigned_long:
      case signed_byte:
      case signed_short:
      case signed_long:
      case directory:
      case unsigned_long8:
        return number(at, size_of(type)) == whole;
      case rational:
        return number(at + 4, 4) != 0 && number(at, 4) == whole * number(at + 4, 4);
      case signed_rational: {
        const auto part = [&](std::size_t begin) {
          return std::int64_t{static_cast<std::int32_t>(number(begin, 4))};
        };
        return part(at + 4) != 0 && part(at) == value * part(at + 4);
      }
      case float32:
        return std::bit_cast<float>(static_cast<std::uint32_t>(number(at, 4))) ==
               static_cast<float>(value);
      case float64:
        return std::bit_cast<double>(number(at, 8)) == value;
      default:
        return false;
    }
  }

  std::span<const unsigned char> tiff_;
  bool big_endian_ = false;
};

/// The orientation, from 1 to 8, that EXIF data note; see `ExifReader`.
inline int exif_orientation(std::span<const unsigned char> tiff) {
  return ExifReader(tiff).orientation();
}

}  // namespace mnv3::vision
