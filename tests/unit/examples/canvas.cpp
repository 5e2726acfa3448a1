// SPDX-License-Identifier: MIT
#include "canvas.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "temporary_folder.hpp"

namespace {

using examples::Canvas;
using examples::Colour;
using examples::OutputError;

constexpr Colour white{255, 255, 255}, red{255, 0, 0};

/// A PNG as libpng's own reader sees it.
struct Decoded {
  int width = 0;
  int height = 0;
  std::vector<Colour> pixels;
};

Decoded read_png(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_file(&image, path.c_str()));
  image.format = PNG_FORMAT_RGB;
  Decoded decoded{static_cast<int>(image.width), static_cast<int>(image.height), {}};
  decoded.pixels.resize(std::size_t{image.width} * image.height);
  REQUIRE(png_image_finish_read(&image, nullptr, decoded.pixels.data(), 0, nullptr));
  return decoded;
}

int count(const Canvas& canvas, Colour colour) {
  int n = 0;
  for (int y = 0; y < canvas.height(); ++y)
    for (int x = 0; x < canvas.width(); ++x) n += canvas.at(x, y) == colour;
  return n;
}

}  // namespace

TEST_CASE("a canvas survives being written and read back") {
  const TemporaryFolder folder;
  Canvas canvas(31, 7, white);
  canvas.fill(3, 2, 5, 4, red);
  canvas.fill(30, 6, 1, 1, {1, 2, 3});
  canvas.write_png(folder / "a.png");

  const Decoded decoded = read_png(folder / "a.png");
  REQUIRE(decoded.width == 31);
  REQUIRE(decoded.height == 7);
  for (int y = 0; y < 7; ++y)
    for (int x = 0; x < 31; ++x)
      CHECK(decoded.pixels[static_cast<std::size_t>(y * 31 + x)] == canvas.at(x, y));
  CHECK(folder.files() == 1);  // nothing temporary stays
}

TEST_CASE("writing replaces a file, and a failed write leaves nothing behind") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.png", "old");
  Canvas(2, 2, red).write_png(path);
  CHECK(read_png(path).width == 2);

  std::filesystem::create_symlink(path, folder / "link.png");
  Canvas(3, 3, red).write_png(folder / "link.png");
  CHECK(read_png(path).width == 3);
  CHECK(std::filesystem::is_symlink(folder / "link.png"));

  std::filesystem::create_directory(folder / "d");
  CHECK_THROWS_WITH_AS(Canvas(2, 2, red).write_png(folder / "d"), doctest::Contains("/d\": "),
                       OutputError);
  CHECK_THROWS_WITH_AS(Canvas(2, 2, red).write_png(folder / "none/a.png"),
                       doctest::Contains("none/a.png\": No such file"), OutputError);
  CHECK_THROWS_AS(Canvas(0, 0, red).write_png(folder / "empty.png"), OutputError);
  CHECK(folder.files() == 3);
}

TEST_CASE("an output that cannot be written is found beforehand") {
  const TemporaryFolder folder;
  examples::require_writable(folder / "new.pth");
  CHECK(folder.files() == 0);
  const std::string old = folder.write("old.pth", "content");
  examples::require_writable(old);
  CHECK(std::filesystem::file_size(old) == 7);

  CHECK_THROWS_WITH_AS(examples::require_writable(folder.path()),
                       doctest::Contains("is a directory"), OutputError);
  CHECK_THROWS_WITH_AS(examples::require_writable(folder / "none/a.pth"),
                       doctest::Contains("there is no directory"), OutputError);
  CHECK_THROWS_WITH_AS(examples::require_writable(old + "/a.pth"), doctest::Contains("a.pth"),
                       OutputError);
  CHECK_THROWS_WITH_AS(examples::require_writable("/dev/null"),
                       doctest::Contains("not a regular file"), OutputError);
}

TEST_CASE("what lies outside a canvas is not drawn") {
  Canvas canvas(4, 4, white);
  canvas.fill(-2, -2, 3, 3, red);
  canvas.fill(3, 3, 9, 9, red);
  canvas.fill(9, 9, 1, 1, red);
  CHECK(count(canvas, red) == 2);
  canvas.text(-3, 2, "clipped", 2, red);
}

TEST_CASE("a canvas grows downwards and keeps what is there") {
  Canvas canvas(3, 1, white);
  canvas.fill(1, 0, 1, 1, red);
  canvas.grow(4);
  CHECK(canvas.height() == 4);
  CHECK(canvas.at(1, 0) == red);
  CHECK(canvas.at(2, 3) == white);
  canvas.grow(2);
  CHECK(canvas.height() == 4);
}

TEST_CASE("text is as wide as the font says, and every printable character has dots") {
  for (char c = '!'; c <= '~'; ++c) {
    CAPTURE(c);
    Canvas canvas(8, examples::font::height, white);
    canvas.text(0, 0, std::string(1, c), 1, red);
    CHECK(count(canvas, red) > 0);
    CHECK(examples::font::glyph(c).width <= 5);
  }
  CHECK(examples::font::width("") == 0);
  CHECK(examples::font::width("il") == 1 + 1 + 2);
  CHECK(examples::font::glyph('\n').column == examples::font::glyph('?').column);
  CHECK(examples::font::glyph('\xff').row == examples::font::glyph('?').row);

  Canvas doubled(40, 18, white);
  doubled.text(0, 0, "i", 2, red);
  CHECK(count(doubled, red) == 4 * 6);
}

TEST_CASE("the colour scale goes from dark to bright and takes any number") {
  const auto brightness = [](Colour c) {
    return 0.2126 * c.red + 0.7152 * c.green + 0.0722 * c.blue;
  };
  for (int i = 0; i < 100; ++i)
    CHECK(brightness(examples::viridis(i / 100.0)) <
          brightness(examples::viridis((i + 1) / 100.0)));
  CHECK(examples::viridis(-1) == examples::viridis(0));
  CHECK(examples::viridis(2) == examples::viridis(1));
  CHECK(examples::viridis(std::nan("")) == examples::viridis(0));
}
