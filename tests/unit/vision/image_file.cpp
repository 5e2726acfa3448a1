// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/image_file.hpp>

#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "../weights/files.hpp"
#include "pictures.hpp"

// What is in good files is compared with Pillow: tests/parity/vision.py. Here are the bad ones.

namespace {

using mnv3::Image;
using mnv3::VisionError;
using namespace pictures;

std::vector<Bytes> good_files() {
  const Image image = gradient();
  Bytes ppm = bytes_of("P6 37 23 255\n");
  ppm.insert(ppm.end(), image.rgb.begin(), image.rgb.end());
  return {png_of(image), ppm, jpeg_of(image, Coding::baseline), jpeg_of(image, Coding::progressive),
          jpeg_of(image, Coding::one_scan_for_each_colour)};
}

}  // namespace

TEST_CASE("a PNG and a PPM come back as they were") {
  const auto files = good_files();
  for (std::size_t i = 0; i < 2; ++i) {
    const Image image = mnv3::decode_image(files[i]);
    CHECK(image.width == width);
    CHECK(image.height == height);
    CHECK(image.rgb == gradient().rgb);
  }
}

TEST_CASE("a file that ends before its pixels are complete is refused wherever it ends") {
  for (const Bytes& whole : good_files()) {
    CHECK(refusal(whole).empty());
    // A PNG may lack what follows its pixels: the code for their end, a check sum of four bytes,
    // one of the chunk, and IEND.
    const std::size_t needed = whole.size() - (find(whole, "IDAT") < whole.size() ? 22 : 0);
    for (std::size_t size = 0; size < needed; ++size) {
      CAPTURE(size);
      CHECK_FALSE(refusal(cut(whole, size)).empty());
    }
  }
}

TEST_CASE("damaged files are refused or give some picture") {
  std::mt19937 random(1);
  for (const Bytes& whole : good_files()) {
    for (int i = 0; i < 1500; ++i) {
      Bytes bytes = whole;
      for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
        bytes[random() % bytes.size()] ^= static_cast<unsigned char>(1U << random() % 8);
      refusal(bytes);
    }
  }
}

TEST_CASE("a small file that claims to be huge is refused at once") {
  const auto begin = std::chrono::steady_clock::now();
  CHECK(contains(refusal(with_png_size(png_of(gradient()), 60'000, 60'000)),
                 "must have from 1 to 67108864 pixels, but this one would have 60000 x 60000"));
  CHECK_FALSE(refusal(with_png_size(png_of(gradient()), 0x7fffffff, 0x7fffffff)).empty());
  CHECK_FALSE(refusal(with_png_size(png_of(gradient()), 0, 5)).empty());

  Bytes jpeg = jpeg_of(gradient(), Coding::baseline);
  const std::size_t frame = find(jpeg, "\xff\xc0");
  REQUIRE(frame < jpeg.size());
  put(jpeg, frame + 5, 65'000, 2);
  put(jpeg, frame + 7, 65'000, 2);
  CHECK(contains(refusal(jpeg), "would have 65000 x 65000"));

  CHECK(contains(refusal(bytes_of("P6 60000 60000 255\n123")), "would have 60000 x 60000"));
  CHECK(contains(refusal(bytes_of("P5 99999999999999999999999999 1 255\n1")), "67108865 x 1"));
  CHECK(contains(refusal(bytes_of("P6 8000 8000 255\n123")), "it ends too early"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
}

TEST_CASE("a JPEG of endlessly many scans is refused") {
  Bytes jpeg = jpeg_of(gradient(), Coding::one_scan_for_each_colour);
  const std::string_view text(reinterpret_cast<const char*>(jpeg.data()), jpeg.size());
  const std::size_t last = text.rfind("\xff\xda");
  const Bytes scan(jpeg.begin() + static_cast<std::ptrdiff_t>(last), jpeg.end() - 2);
  for (const int copies : {50, 200}) {
    Bytes longer = jpeg;
    for (int i = 0; i < copies; ++i) longer.insert(longer.end() - 2, scan.begin(), scan.end());
    if (copies == 50)
      CHECK(refusal(longer).empty());
    else
      CHECK(refusal(longer) == "it has more than 100 scans");
  }
}

TEST_CASE("what is damaged in a PPM's header is refused") {
  CHECK(refusal(bytes_of("P5\n# a comment 7\n2 1 # another\n255\nab")).empty());
  CHECK(refusal(bytes_of("P6 1 1 255 abc and more")).empty());
  CHECK(contains(refusal(bytes_of("P6 1 1 65535 abcdef")), "largest value is 65535; only 255"));
  for (const char* text : {"P6", "P6 ", "P6 1", "P6 1 1", "P6 1 1 255", "P6 -1 1 255\nabc",
                           "P6 1 x 255\nabc", "P6 1 1 255abc", "P6 #"}) {
    CAPTURE(text);
    CHECK(refusal(bytes_of(text)) == "its header is damaged");
  }
  CHECK(contains(refusal(bytes_of("P6 0 1 255\n")), "would have 0 x 1"));
}

TEST_CASE("files that are no pictures say so, with their name") {
  const files::TemporaryFolder folder;
  const auto error_of = [&](const std::filesystem::path& path) {
    try {
      mnv3::read_image(path);
    } catch (const VisionError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  files::write(folder / "a.png", "no picture");
  CHECK(error_of(folder / "a.png") ==
        "mnv3: cannot read " + (folder / "a.png").string() +
            ": it is text that begins with 'no picture', not a PNG, a JPEG, or a "
            "binary PPM or PGM; give the picture itself");
  CHECK(contains(error_of(folder / "none.png"), "none.png: No such file or directory"));
  CHECK(contains(error_of(folder.path()), ": it is a directory"));
  CHECK(contains(error_of("/dev/zero"), "/dev/zero: it has more than 268435456 bytes"));
  const Bytes png = png_of(gradient());
  files::write(folder / "b.jpg", {reinterpret_cast<const char*>(png.data()), png.size()});
  CHECK(mnv3::read_image(folder / "b.jpg").rgb == gradient().rgb);  // the content counts
  const Bytes turned = inserted(png, after_png_header, png_chunk("eXIf", exif(6)));
  files::write(folder / "c.png", {reinterpret_cast<const char*>(turned.data()), turned.size()});
  CHECK(mnv3::read_image(folder / "c.png").width == width);
  CHECK(mnv3::read_image(folder / "c.png", {.apply_orientation = true}).width == height);
}
