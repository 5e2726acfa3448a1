// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/png.hpp>

#include <chrono>
#include <string>

#include "pictures.hpp"

// Where Pillow reads a PNG that was cut: tests/parity/vision.py.

using namespace pictures;

namespace {

/// zlib's data that are stored, not compressed, and end with a sum that nobody looks at.
Bytes stored(std::size_t zeros) {
  Bytes data{0x78, 0x01};
  while (zeros > 0) {
    const std::size_t size = std::min<std::size_t>(zeros, 0xffff);
    zeros -= size;
    append(data,
           {static_cast<unsigned char>(zeros == 0 ? 1 : 0), static_cast<unsigned char>(size & 0xff),
            static_cast<unsigned char>(size >> 8), static_cast<unsigned char>(~size & 0xff),
            static_cast<unsigned char>(~size >> 8)});
    append(data, Bytes(size));
  }
  append(data, number(static_cast<std::uint32_t>(1), 4));
  return data;
}

/// A black picture of RGB whose pixels are followed by more zeros.
Bytes png_with(std::size_t zeros, std::uint32_t wide, std::uint32_t high, bool is_interlaced) {
  Bytes header = number(wide, 4);
  append(header, number(high, 4));
  append(header, {8, 2, 0, 0, static_cast<unsigned char>(is_interlaced ? 1 : 0)});
  Bytes png = bytes_of("\x89PNG\r\n\x1a\n");
  append(png, png_chunk("IHDR", header));
  append(png, png_chunk("IDAT", stored(zeros)));
  append(png, png_chunk("IEND", {}));
  return png;
}

}  // namespace

TEST_CASE("a PNG that was cut after its pixels is read, and one that was cut in them is not") {
  const Bytes whole = png_of(gradient());
  const std::size_t end_of_pixels = whole.size() - 12 - 4 - 4;
  for (std::size_t size = end_of_pixels; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(mnv3::decode_image(cut(whole, size)).rgb == gradient().rgb);
  }
  for (std::size_t size = end_of_pixels - 30; size + 1 < end_of_pixels; ++size) {
    CAPTURE(size);
    CHECK(refusal(cut(whole, size)) == "it ends too early");
  }
}

TEST_CASE("a PNG must not end inside a chunk that follows its pixels") {
  const Bytes png = png_of(gradient());
  const std::size_t end = png.size() - 12;
  const Bytes comment = png_chunk("tEXt", bytes_of("Comment and nothing more"));
  const Bytes whole = inserted(png, end, comment);
  for (std::size_t size = end; size < whole.size(); ++size) {
    CAPTURE(size);
    const std::size_t in_comment = size - end;
    const bool is_inside = in_comment >= 8 && in_comment < comment.size() - 4;
    CHECK(refusal(cut(whole, size)) == (is_inside ? "it ends too early" : ""));
  }
}

TEST_CASE("a PNG with much more data than pixels is refused before they are unpacked") {
  for (const bool is_interlaced : {false, true})
    for (const std::uint32_t side : {1U, 2U, 3U, 4U}) {
      CAPTURE(is_interlaced);
      CAPTURE(side);
      CHECK(refusal(png_with(300, side, side, is_interlaced)).empty());
      CHECK(refusal(png_with(30'000, side, side, is_interlaced)).empty());
      CHECK(refusal(png_with(300'000, side, side, is_interlaced)) ==
            "it has more data than pixels");
    }
}

TEST_CASE("a PNG whose pixels cannot be in so few bytes is refused at once") {
  const auto begin = std::chrono::steady_clock::now();
  for (const bool is_interlaced : {false, true})
    CHECK(refusal(png_with(10, 8192, 8192, is_interlaced)) ==
          "it ends too early: its 8192 x 8192 pixels do not fit into 78 bytes");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(100));
}
