// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/jpeg.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "pictures.hpp"

// Pixels are compared with Pillow: tests/parity/vision.py.

using namespace pictures;

namespace {

Raster flat(int side, const std::vector<std::uint8_t>& pixel) {
  Raster raster{side, side, static_cast<int>(pixel.size()), {}};
  for (int i = 0; i < side * side; ++i)
    raster.bytes.insert(raster.bytes.end(), pixel.begin(), pixel.end());
  return raster;
}

/// Where scans begin, and where the file ends.
std::vector<std::size_t> scans_of(const Bytes& jpeg) {
  std::vector<std::size_t> scans;
  for (std::size_t at = find(jpeg, "\xff\xda"); at < jpeg.size();
       at = find(jpeg, "\xff\xda", at + 1))
    scans.push_back(at);
  scans.push_back(jpeg.size() - 2);
  return scans;
}

/// One without the bytes from `begin` to `end`.
Bytes without(const Bytes& bytes, std::size_t begin, std::size_t end) {
  Bytes rest = cut(bytes, begin);
  rest.insert(rest.end(), bytes.begin() + static_cast<std::ptrdiff_t>(end), bytes.end());
  return rest;
}

/// Scans over a whole picture that cost next to nothing: each mean takes one bit, and whatever else
/// there is of 16384 blocks takes 15.
class TinyProgressive {
 public:
  TinyProgressive(std::uint32_t side, unsigned components)
      : blocks_(side / 8 * (side / 8)), components_(components) {
    jpeg_ = {0xff, 0xd8};
    Bytes table(65, 1);
    table[0] = 0;
    append(jpeg_, segment(0xdb, table));
    Bytes frame{8};
    append(frame, number(side, 2));
    append(frame, number(side, 2));
    frame.push_back(static_cast<unsigned char>(components));
    for (unsigned i = 1; i <= components; ++i)
      append(frame, {static_cast<unsigned char>(i), 0x11, 0});
    append(jpeg_, segment(0xc2, frame));
    for (const bool of_rest : {false, true}) {
      Bytes codes{static_cast<unsigned char>(of_rest ? 0x10 : 0), 1};
      codes.resize(17);
      codes.push_back(of_rest ? 0xe0 : 0);
      append(jpeg_, segment(0xc4, codes));
    }
  }

  TinyProgressive& means() {
    Bytes header{static_cast<unsigned char>(components_)};
    for (unsigned i = 1; i <= components_; ++i) append(header, {static_cast<unsigned char>(i), 0});
    append(header, {0, 0, 0});
    append(jpeg_, segment(0xda, header));
    append(jpeg_, Bytes(blocks_ * components_ / 8));
    return *this;
  }

  /// Of one component, from `first` to `last`; `before` is one more than `bit`, but 0 at first.
  TinyProgressive& rest(unsigned component, unsigned first, unsigned last, unsigned before,
                        unsigned bit) {
    append(jpeg_,
           segment(0xda, {1, static_cast<unsigned char>(component + 1), 0,
                          static_cast<unsigned char>(first), static_cast<unsigned char>(last),
                          static_cast<unsigned char>(before << 4 | bit)}));
    append(jpeg_, Bytes((blocks_ + 16383) / 16384 * 15 / 8 + 1));
    return *this;
  }

  Bytes end() {
    append(jpeg_, {0xff, 0xd9});
    return jpeg_;
  }

 private:
  std::size_t blocks_;
  unsigned components_;
  Bytes jpeg_;
};

}  // namespace

TEST_CASE("CMYK and YCCK become RGB, stored inverted, with Adobe's segment or without") {
  struct Case {
    std::vector<std::uint8_t> stored;
    std::array<int, 3> rgb;
  };
  for (const Case& wanted :
       {Case{{255, 255, 255, 255}, {255, 255, 255}}, Case{{0, 255, 255, 255}, {0, 255, 255}},
        Case{{255, 0, 255, 255}, {255, 0, 255}}, Case{{255, 255, 0, 255}, {255, 255, 0}},
        Case{{255, 255, 255, 0}, {0, 0, 0}}, Case{{100, 200, 250, 128}, {50, 100, 125}}})
    for (const J_COLOR_SPACE space : {JCS_CMYK, JCS_YCCK})
      for (const bool has_segment : {true, false}) {
        if (space == JCS_YCCK && !has_segment) continue;  // nothing else says that it is YCCK
        const mnv3::Image image = mnv3::decode_image(
            jpeg_of(flat(17, wanted.stored), {.stored = space, .has_adobe_segment = has_segment}));
        for (std::size_t i = 0; i < image.rgb.size(); ++i)
          REQUIRE(std::abs(image.rgb[i] - wanted.rgb[i % 3]) <= 3);  // JPEG's own loss
      }
}

TEST_CASE("other numbers of components than 1, 3 and 4 are refused") {
  CHECK(refusal(jpeg_of(flat(17, {1, 2}), {})) ==
        "it has 2 components; only grey, colour and CMYK pictures are read");
  CHECK(refusal(TinyProgressive(64, 5).rest(0, 1, 63, 0, 0).end()) ==
        "it has 5 components; only grey, colour and CMYK pictures are read");
}

TEST_CASE("arithmetic coding is refused, because damage would give pixels") {
  for (const Coding coding : {Coding::baseline, Coding::progressive}) {
    Bytes jpeg = jpeg_of(gradient(), coding);
    const bool is_progressive = coding == Coding::progressive;
    jpeg[find(jpeg, is_progressive ? "\xff\xc2" : "\xff\xc0") + 1] = is_progressive ? 0xca : 0xc9;
    CHECK(contains(refusal(jpeg), "it is arithmetic-coded"));
    CHECK(contains(refusal(jpeg), "save it as PNG"));
  }
}

TEST_CASE("a JPEG that lacks a scan is refused") {
  std::vector<Bytes> files;
  for (const int channels : {1, 3, 4})
    files.push_back(
        jpeg_of(flat(40, std::vector<std::uint8_t>(static_cast<std::size_t>(channels), 99)),
                {.coding = Coding::progressive}));
  files.push_back(jpeg_of(gradient(), Coding::progressive));
  files.push_back(jpeg_of(gradient(), Coding::one_scan_for_each_colour));
  for (const Bytes& whole : files) {
    const std::vector<std::size_t> scans = scans_of(whole);
    REQUIRE(scans.size() >= 4);
    CHECK(refusal(whole).empty());
    for (std::size_t i = 0; i + 1 < scans.size(); ++i) {
      CAPTURE(i);
      // As if it ended with this scan, properly, and as if only this scan were missing.
      Bytes ended = cut(whole, scans[i]);
      append(ended, {0xff, 0xd9});
      CHECK_FALSE(refusal(ended).empty());
      if (i > 0) CHECK(refusal(ended) == "it ends too early: not all of its scans are there");
      CHECK_FALSE(refusal(without(whole, scans[i], scans[i + 1])).empty());
    }
  }
}

TEST_CASE("a JPEG whose pixels cannot be in so few bytes is refused at once") {
  const auto begin = std::chrono::steady_clock::now();
  CHECK(refusal(TinyProgressive(8192, 3).rest(0, 1, 63, 0, 0).end()) ==
        "it ends too early: its 8192 x 8192 pixels do not fit into 267 bytes");
  Bytes jpeg = jpeg_of(gradient(), Coding::baseline);
  const std::size_t frame = find(jpeg, "\xff\xc0");
  put(jpeg, frame + 5, 4096, 2);
  put(jpeg, frame + 7, 4096, 2);
  CHECK(contains(refusal(jpeg), "its 4096 x 4096 pixels do not fit into "));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(100));
}

TEST_CASE("the smallest possible files for large pictures are read") {
  for (const unsigned components : {1U, 3U, 4U}) {
    TinyProgressive jpeg(1024, components);
    jpeg.means();
    for (unsigned i = 0; i < components; ++i) jpeg.rest(i, 1, 63, 0, 0);
    CHECK(refusal(jpeg.end()).empty());
  }
  for (const std::vector<std::uint8_t>& pixel :
       {std::vector<std::uint8_t>{7}, {200, 30, 90}, {1, 2, 3, 4}})
    for (const Coding coding : {Coding::baseline, Coding::progressive})
      for (const bool is_subsampled : {false, true})
        CHECK(
            refusal(jpeg_of(flat(1024, pixel), {.coding = coding, .is_subsampled = is_subsampled}))
                .empty());
}

TEST_CASE("scans that go over a large picture again and again for nothing are refused") {
  const auto begin = std::chrono::steady_clock::now();
  TinyProgressive bands(8192, 1);
  bands.means();
  for (unsigned k = 1; k < 64; ++k) bands.rest(0, k, k, 0, 0);
  TinyProgressive bits(8192, 1);
  bits.means().rest(0, 1, 63, 0, 13);
  for (unsigned bit = 13; bit-- > 0;) bits.rest(0, 1, 63, bit + 1, bit);
  TinyProgressive again(8192, 1);
  again.means();
  for (int i = 0; i < 90; ++i) again.rest(0, 1, 63, 0, 0);
  for (TinyProgressive* const jpeg : {&bands, &bits, &again})
    CHECK(refusal(jpeg->end()) == "its scans go over the picture too often for so small a file");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));  // of three files
}

TEST_CASE("a picture with details may have a scan for each coefficient") {
  std::vector<jpeg_scan_info> scans{{1, {0, 0, 0, 0}, 0, 0, 0, 0}};
  for (int k = 1; k < 64; ++k) scans.push_back({1, {0, 0, 0, 0}, k, k, 0, 0});
  Raster raster{256, 256, 1, {}};
  for (unsigned i = 0; i < 256 * 256; ++i)
    raster.bytes.push_back(static_cast<std::uint8_t>(i * i / 7));
  CHECK(refusal(jpeg_of(raster, {.scans = scans})).empty());
}

TEST_CASE("an EXIF segment that ends too early is an error") {
  const Bytes jpeg = jpeg_of(gradient(), Coding::baseline);
  CHECK(refusal({0xff, 0xd8, 0xff, 0xe1}) == "it ends too early");
  CHECK(refusal({0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff, 'E'}) == "it ends too early");
  CHECK(refusal(inserted(jpeg, 2, {0xff, 0xe1, 0, 2})).empty());
  CHECK(refusal(inserted(jpeg, 2, segment(0xe1, bytes_of("Exif")))).empty());
}
