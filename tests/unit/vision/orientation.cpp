// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/orientation.hpp>

#include <string>
#include <string_view>

#include "pictures.hpp"

namespace {

using mnv3::Image;

/// One letter a pixel, row by row.
Image picture_of(std::string_view letters, int wide) {
  Image image = mnv3::make_image(wide, static_cast<int>(letters.size()) / wide);
  for (std::size_t i = 0; i < letters.size(); ++i) {
    image.rgb[3 * i] = static_cast<std::uint8_t>(letters[i]);
    image.rgb[3 * i + 1] = 1;
    image.rgb[3 * i + 2] = 2;
  }
  return image;
}

}  // namespace

TEST_CASE("each orientation turns and mirrors as EXIF says") {
  // ab    The row and the column that EXIF calls the visual top and left side: 0th row, 0th column.
  // cd
  // ef
  const Image image = picture_of("abcdef", 2);
  const auto is = [&](int orientation, std::string_view letters, int wide) {
    const Image upright = mnv3::vision::upright(image, orientation);
    const Image expected = picture_of(letters, wide);
    CAPTURE(orientation);
    CHECK(upright.width == expected.width);
    CHECK(upright.height == expected.height);
    CHECK(upright.rgb == expected.rgb);
  };
  is(1, "abcdef", 2);
  is(2, "badcfe", 2);
  is(3, "fedcba", 2);
  is(4, "efcdab", 2);
  is(5, "acebdf", 3);
  is(6, "ecafdb", 3);
  is(7, "fdbeca", 3);
  is(8, "bdface", 3);
  for (const int none : {-1, 0, 9, 255}) is(none, "abcdef", 2);
}

TEST_CASE("a picture larger than a tile is turned as a whole") {
  const Image image = pictures::gradient(65, 97);
  for (int orientation = 2; orientation <= 8; ++orientation) {
    const int back = orientation == 6 ? 8 : orientation == 8 ? 6 : orientation;
    const Image twice = mnv3::vision::upright(mnv3::vision::upright(image, orientation), back);
    CHECK(twice.width == image.width);
    CHECK(twice.rgb == image.rgb);
    CHECK(mnv3::vision::upright(image, orientation).rgb != image.rgb);
  }
}

TEST_CASE("a JPEG and a PNG are turned on request, and only then") {
  using namespace pictures;
  const Bytes data = exif(6);
  Bytes named = bytes_of(std::string_view("Exif\0\0", 6));
  append(named, data);
  const Bytes jpeg = jpeg_of(gradient(), Coding::progressive);
  for (const Bytes& plain : {jpeg, png_of(gradient())}) {
    const bool is_png = plain[0] == 0x89;
    const Bytes noted = is_png ? inserted(plain, after_png_header, png_chunk("eXIf", data))
                               : inserted(plain, 2, segment(0xe1, named));
    const Image stored = mnv3::decode_image(plain);
    CHECK(mnv3::decode_image(plain, {.apply_orientation = true}).rgb == stored.rgb);
    CHECK(mnv3::decode_image(noted).rgb == stored.rgb);
    CHECK(mnv3::decode_image(noted).width == width);
    const Image upright = mnv3::decode_image(noted, {.apply_orientation = true});
    CHECK(upright.width == height);
    CHECK(upright.rgb == mnv3::vision::upright(stored, 6).rgb);
  }
}

TEST_CASE("EXIF data before a PNG's pixels count more than those behind them") {
  using namespace pictures;
  const Bytes plain = png_of(gradient());
  const Bytes late = inserted(plain, plain.size() - 12, png_chunk("eXIf", exif(6)));
  const Bytes both = inserted(late, after_png_header, png_chunk("eXIf", exif(3)));
  CHECK(mnv3::decode_image(late, {.apply_orientation = true}).width == height);
  CHECK(mnv3::decode_image(both, {.apply_orientation = true}).rgb ==
        mnv3::vision::upright(gradient(), 3).rgb);
}

TEST_CASE("EXIF data whose check sum is wrong are not believed") {
  using namespace pictures;
  Bytes chunk = png_chunk("eXIf", exif(6));
  chunk.back() ^= 1;
  const Bytes png = inserted(png_of(gradient()), after_png_header, chunk);
  CHECK(mnv3::decode_image(png, {.apply_orientation = true}).width == width);
}
