// SPDX-License-Identifier: MIT
#pragma once

#include <png.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "font.hpp"
#include "output_file.hpp"

namespace examples {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;

  friend constexpr bool operator==(const Colour&, const Colour&) = default;
};

/// The colour of `value` in [0, 1] on a scale from dark violet over green to yellow that grows
/// evenly in brightness, so it reads in grey, too.
///
/// Source  nine equidistant values of "viridis" (matplotlib, CC0), linear between them.
inline Colour viridis(double value) {
  static constexpr std::array<Colour, 9> points{{{68, 1, 84},
                                                 {71, 44, 122},
                                                 {59, 81, 139},
                                                 {44, 113, 142},
                                                 {33, 144, 141},
                                                 {39, 173, 129},
                                                 {92, 200, 99},
                                                 {170, 220, 50},
                                                 {253, 231, 37}}};
  // Not std::clamp: not-a-number must become a legal index.
  const double position = value > 0 ? std::min(value, 1.0) * (points.size() - 1) : 0;
  const auto below = std::min(static_cast<std::size_t>(position), points.size() - 2);
  const double part = position - static_cast<double>(below);
  const auto mix = [&](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + part * (b - a)));
  };
  const Colour& a = points[below];
  const Colour& b = points[below + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

/// An RGB picture to draw on. What lies outside is not drawn.
class Canvas {
 public:
  Canvas(int width, int height, Colour background) : width_(width), background_(background) {
    grow(height);
  }

  int width() const { return width_; }
  int height() const { return height_; }

  /// Appends rows at the bottom until there are `height`.
  void grow(int height) {
    height_ = std::max(height_, height);
    pixels_.resize(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_),
                   background_);
  }

  Colour at(int x, int y) const { return pixels_[index(x, y)]; }

  void fill(int x, int y, int width, int height, Colour colour) {
    const int right = std::min(x + width, width_);
    const int bottom = std::min(y + height, height_);
    for (int row = std::max(y, 0); row < bottom; ++row)
      for (int column = std::max(x, 0); column < right; ++column)
        pixels_[index(column, row)] = colour;
  }

  /// Writes `text` with its upper left corner at (x, y); a dot of the font is `scale` pixels wide.
  void text(int x, int y, std::string_view text, int scale, Colour colour) {
    for (const char c : text) {
      const font::Glyph glyph = font::glyph(c);
      for (int row = 0; row < font::height; ++row)
        for (int column = 0; column < glyph.width; ++column)
          if (glyph.dot(column, row))
            fill(x + column * scale, y + row * scale, scale, scale, colour);
      x += (glyph.width + font::spacing) * scale;
    }
  }

  /// Draws `cells`, row by row, each as a square of `scale` pixels, coloured by `colour_of(cell)`.
  template <class Cell, class ColourOf>
  void cells(int x, int y, std::span<const Cell> cells, int columns, int scale,
             ColourOf&& colour_of) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const int row = static_cast<int>(i) / columns;
      const int column = static_cast<int>(i) % columns;
      fill(x + column * scale, y + row * scale, scale, scale, colour_of(cells[i]));
    }
  }

  /// Writes the picture as a PNG. The file appears under its name only when it is complete.
  ///
  /// Errors  OutputError names the file and the reason.
  void write_png(const std::string& path) const {
    // A link stays a link: the file that it names is replaced.
    std::error_code missing;
    const std::filesystem::path real = std::filesystem::canonical(path, missing);
    const std::string target = missing ? path : real.string();
    const std::string part = temporary_beside(target);
    try {
      File file{std::fopen(part.c_str(), "wb")};
      if (!file) throw OutputError(std::generic_category().message(errno));
      png_image image{};
      image.version = PNG_IMAGE_VERSION;
      image.width = static_cast<png_uint_32>(width_);
      image.height = static_cast<png_uint_32>(height_);
      image.format = PNG_FORMAT_RGB;
      static_assert(sizeof(Colour) == 3, "libpng reads the pixels as packed RGB bytes");
      if (!png_image_write_to_stdio(&image, file.get(), 0, pixels_.data(), 0, nullptr))
        throw OutputError(image.message);
      // A full disk may show only here.
      if (std::fclose(file.release()) != 0)
        throw OutputError(std::generic_category().message(errno));
      if (std::rename(part.c_str(), target.c_str()) != 0)
        throw OutputError(std::generic_category().message(errno));
    } catch (const OutputError& error) {
      std::remove(part.c_str());
      throw OutputError(fmt::format("cannot write \"{}\": {}", path, error.what()));
    }
  }

 private:
  std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
           static_cast<std::size_t>(x);
  }

  int width_;
  int height_ = 0;
  Colour background_;
  std::vector<Colour> pixels_;
};

}  // namespace examples
