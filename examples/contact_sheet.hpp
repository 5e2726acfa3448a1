// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "canvas.hpp"

namespace examples {

/// A page that grows downwards: a title, then sections with rows of grey pictures and of feature
/// maps, all in the same columns, so that what belongs to one picture stands below it.
class ContactSheet {
 public:
  /// One picture with what a classifier said about it. `predicted` is green where it is right.
  struct Picture {
    std::span<const std::uint8_t> pixels;  ///< Square, row by row; 0 is black.
    std::string_view predicted;
    std::string_view truth;
  };

  static constexpr int cell = 112;  ///< Side of a picture or map: a multiple of 28, 14, 7 and 4.

  explicit ContactSheet(int columns)
      : canvas_(first_column + columns * column_width + margin, 0, paper) {}

  void title(std::string_view text, std::string_view second_line) {
    skip(margin);
    line(margin, text, 4, ink);
    skip(10);
    line(margin, second_line, 2, faint);
  }

  /// Begins a section: a rule, a heading, and an explanation beside it.
  void section(std::string_view heading, std::string_view explanation) {
    skip(22);
    canvas_.grow(y_ + 2);
    canvas_.fill(margin, y_, canvas_.width() - 2 * margin, 2, rule);
    skip(14);
    canvas_.grow(y_ + line_height);
    canvas_.text(margin, y_, heading, 2, ink);
    canvas_.text(margin + (font::width(heading) + 8) * 2, y_, explanation, 2, faint);
    skip(line_height + 8);
  }

  /// One row of pictures, the labels below.
  void pictures(std::span<const Picture> row) {
    canvas_.grow(y_ + cell + 2 * line_height + 6);
    int x = first_column;
    for (const Picture& picture : row) {
      square(x, y_, picture.pixels, [](std::uint8_t v) { return Colour{v, v, v}; });
      const bool right = picture.predicted == picture.truth;
      canvas_.text(x, y_ + cell + 6, picture.predicted, 2, right ? green : red);
      if (!right) {
        canvas_.text(x, y_ + cell + 6 + line_height, fmt::format("is {}", picture.truth), 2, faint);
      }
      x += column_width;
    }
    skip(cell + 2 * line_height + 6);
  }

  /// A square picture in colour, with lines of text beside it.
  void picture(std::span<const Colour> pixels, std::span<const std::string> lines) {
    canvas_.grow(y_ + cell + gap);
    square(first_column, y_, pixels, [](Colour colour) { return colour; });
    int y = y_;
    for (const std::string& text : lines) {
      canvas_.text(first_column + column_width, y, text, 2, ink);
      y += line_height;
    }
    skip(cell + gap);
  }

  /// One row of feature maps with values in [0, 1], `label` at the left.
  void maps(std::string_view label, std::span<const std::span<const float>> row) {
    canvas_.grow(y_ + cell + gap);
    canvas_.text(margin, y_ + cell / 2 - font::height, label, 2, faint);
    int x = first_column;
    for (const std::span<const float> map : row) {
      square(x, y_, map, viridis);
      x += column_width;
    }
    skip(cell + gap);
  }

  /// The colour scale of the maps.
  void scale_bar(std::string_view low, std::string_view high) {
    constexpr int length = 256;
    const int y = y_ + 8;
    canvas_.grow(y + line_height);
    int x = first_column;
    canvas_.text(x, y, low, 2, faint);
    x += 2 * font::width(low) + gap;
    for (int i = 0; i < length; ++i) canvas_.fill(x + i, y, 1, 2 * 7, viridis(i / (length - 1.0)));
    canvas_.text(x + length + gap, y, high, 2, faint);
    skip(8 + line_height);
  }

  /// Errors  OutputError, see Canvas::write_png.
  void write(const std::string& path) {
    canvas_.grow(y_ + margin);
    canvas_.write_png(path);
  }

 private:
  static constexpr int margin = 28;
  static constexpr int gap = 8;
  static constexpr int column_width = 134;
  static constexpr int label_width = 84;
  static constexpr int first_column = margin + label_width;
  static constexpr int line_height = 2 * (font::height + 1);
  static constexpr Colour paper{250, 250, 248}, ink{28, 28, 32}, faint{110, 110, 118},
      rule{214, 214, 210}, green{22, 130, 60}, red{200, 36, 36};

  void skip(int pixels) { y_ += pixels; }

  void line(int x, std::string_view text, int scale, Colour colour) {
    canvas_.grow(y_ + font::height * scale);
    canvas_.text(x, y_, text, scale, colour);
    skip(font::height * scale);
  }

  template <class Cell, class ColourOf>
  void square(int x, int y, std::span<const Cell> cells, ColourOf&& colour_of) {
    if (cells.empty()) return;
    const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(cells.size()))));
    canvas_.cells(x, y, cells, side, std::max(cell / side, 1), colour_of);
  }

  int y_ = 0;
  Canvas canvas_;
};

}  // namespace examples
