// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/vision/image_file.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "../weights/files.hpp"

// What is in good files is compared with Pillow: tests/parity/vision.py. Here are the bad ones.

namespace {

using mnv3::Image;
using mnv3::VisionError;
using Bytes = std::vector<unsigned char>;

constexpr int width = 37, height = 23;

Image gradient() {
  Image image = mnv3::make_image(width, height);
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] = static_cast<std::uint8_t>(i * i / 7);
  return image;
}

Bytes png_of(const Image& image) {
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

enum class Coding { baseline, progressive, one_scan_for_each_colour };

Bytes jpeg_of(Image image, Coding coding) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &memory, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  const std::array<jpeg_scan_info, 3> scans{{{1, {0, 0, 0, 0}, 0, 63, 0, 0},
                                             {1, {1, 0, 0, 0}, 0, 63, 0, 0},
                                             {1, {2, 0, 0, 0}, 0, 63, 0, 0}}};
  if (coding == Coding::progressive) jpeg_simple_progression(&jpeg);
  if (coding == Coding::one_scan_for_each_colour) {
    jpeg.scan_info = scans.data();
    jpeg.num_scans = 3;
  }
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = image.rgb.data() + jpeg.next_scanline * image.row_bytes();
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  Bytes bytes(memory, memory + size);
  std::free(memory);
  return bytes;
}

Bytes ppm_of(std::string_view text) { return {text.begin(), text.end()}; }

/// What `decode_image` says; empty if it accepts the bytes.
std::string refusal(const Bytes& bytes) {
  try {
    const Image image = mnv3::decode_image(bytes);
    CHECK(image.rgb.size() == image.row_bytes() * static_cast<std::size_t>(image.height));
  } catch (const VisionError& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<Bytes> good_files() {
  const Image image = gradient();
  Bytes ppm = ppm_of("P6 37 23 255\n");
  ppm.insert(ppm.end(), image.rgb.begin(), image.rgb.end());
  return {png_of(image), ppm, jpeg_of(image, Coding::baseline), jpeg_of(image, Coding::progressive),
          jpeg_of(image, Coding::one_scan_for_each_colour)};
}

/// Overwrites a big-endian number.
void put(Bytes& bytes, std::size_t at, std::uint32_t value, int size) {
  for (int i = 0; i < size; ++i)
    bytes[at + static_cast<std::size_t>(i)] =
        static_cast<unsigned char>(value >> (8 * (size - 1 - i)));
}

std::size_t find(const Bytes& bytes, std::string_view text) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find(text);
}

/// Replaces the sizes in a PNG's header, with the checksum that belongs to them.
Bytes with_png_size(Bytes png, std::uint32_t wide, std::uint32_t high) {
  put(png, 16, wide, 4);
  put(png, 20, high, 4);
  std::uint32_t crc = ~0U;
  for (std::size_t i = 12; i < 29; ++i) {
    crc ^= png[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0U);
  }
  put(png, 29, ~crc, 4);
  return png;
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

TEST_CASE("a file that ends too early is refused wherever it ends") {
  for (const Bytes& whole : good_files()) {
    CHECK(refusal(whole).empty());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      CHECK_FALSE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<long>(size))).empty());
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

  CHECK(contains(refusal(ppm_of("P6 60000 60000 255\n123")), "would have 60000 x 60000"));
  CHECK(contains(refusal(ppm_of("P5 99999999999999999999999999 1 255\n1")), "67108865 x 1"));
  CHECK(contains(refusal(ppm_of("P6 8000 8000 255\n123")), "it ends too early"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
}

TEST_CASE("a JPEG of endlessly many scans is refused") {
  Bytes jpeg = jpeg_of(gradient(), Coding::one_scan_for_each_colour);
  const std::string_view text(reinterpret_cast<const char*>(jpeg.data()), jpeg.size());
  const std::size_t last = text.rfind("\xff\xda");
  const Bytes scan(jpeg.begin() + static_cast<long>(last), jpeg.end() - 2);
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
  CHECK(refusal(ppm_of("P5\n# a comment 7\n2 1 # another\n255\nab")).empty());
  CHECK(refusal(ppm_of("P6 1 1 255 abc and more")).empty());
  CHECK(contains(refusal(ppm_of("P6 1 1 65535 abcdef")), "largest value is 65535; only 255"));
  for (const char* text : {"P6", "P6 ", "P6 1", "P6 1 1", "P6 1 1 255", "P6 -1 1 255\nabc",
                           "P6 1 x 255\nabc", "P6 1 1 255abc", "P6 #"}) {
    CAPTURE(text);
    CHECK(refusal(ppm_of(text)) == "its header is damaged");
  }
  CHECK(contains(refusal(ppm_of("P6 0 1 255\n")), "would have 0 x 1"));
}

TEST_CASE("files that are no pictures say so, with their name") {
  CHECK(refusal({}) == "it is not a PNG, a JPEG, or a binary PPM or PGM");
  CHECK(refusal(ppm_of("GIF89a")) == "it is not a PNG, a JPEG, or a binary PPM or PGM");

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
  CHECK(error_of(folder / "a.png") == "mnv3: cannot read " + (folder / "a.png").string() +
                                          ": it is not a PNG, a JPEG, or a binary PPM or PGM");
  CHECK(contains(error_of(folder / "none.png"), "none.png: No such file or directory"));
  CHECK(contains(error_of(folder.path()), ": it is a directory"));
  CHECK(contains(error_of("/dev/zero"), "/dev/zero: it has more than 268435456 bytes"));
  const Bytes png = png_of(gradient());
  files::write(folder / "b.jpg", {reinterpret_cast<const char*>(png.data()), png.size()});
  CHECK(mnv3::read_image(folder / "b.jpg").rgb == gradient().rgb);  // the content counts
}
