// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/exif.hpp>

#include <cstddef>

#include "pictures.hpp"

// Types, damage and what Pillow makes of it: tests/parity/vision.py.

using mnv3::vision::exif_orientation;
using pictures::Bytes;

TEST_CASE("an orientation is read in both orders of bytes") {
  for (const bool is_big_endian : {false, true}) {
    for (unsigned value = 1; value <= 8; ++value)
      CHECK(exif_orientation(pictures::exif(value, is_big_endian)) == static_cast<int>(value));
    for (const unsigned value : {0U, 9U, 255U})
      CHECK(exif_orientation(pictures::exif(value, is_big_endian)) == 1);
  }
}

TEST_CASE("EXIF data that end too early, or point outside, say nothing") {
  const Bytes whole = pictures::exif(6);
  const std::size_t value_ends = 22;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(exif_orientation(pictures::cut(whole, size)) == (size < value_ends ? 1 : 6));
  }
  for (const std::uint32_t offset : {0U, 9U, 26U, 0x7fffffffU, 0xffffffffU}) {
    Bytes tiff = whole;
    pictures::put(tiff, 4, offset, 4);
    CHECK(exif_orientation(tiff) == 1);
  }
  Bytes tiff = whole;
  pictures::put(tiff, 14, 0xffffffff, 4);  // so many values, which would be far behind the end
  CHECK(exif_orientation(tiff) == 1);
  pictures::put(tiff, 12, 16, 2);  // of eight bytes each
  CHECK(exif_orientation(tiff) == 1);
}

TEST_CASE("only the first directory counts, and other headers are none") {
  Bytes tiff = pictures::exif(6);
  pictures::put(tiff, 10, 0x113, 2);
  CHECK(exif_orientation(tiff) == 1);
  for (const char* header : {"II*", "MMMM", "\1\2\3\4", "Exif"}) {
    Bytes other = pictures::exif(6);
    std::copy_n(header, 4, other.begin());
    CHECK(exif_orientation(other) == 1);
  }
}
