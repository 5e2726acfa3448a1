// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>

#include <fmt/format.h>
#include <torch/types.h>

#include "page.hpp"

namespace examples {

/// The channels that vary most, at most `count`, in the order of the network.
///
/// Shapes  maps: (C, ...)
inline torch::Tensor liveliest_channels(const torch::Tensor& maps, std::int64_t count) {
  const torch::Tensor flat = maps.flatten(1);  // (C, all the rest)
  const torch::Tensor chosen = std::get<1>(flat.std(1).topk(std::min(count, flat.size(0))));
  return std::get<0>(chosen.sort());
}

/// Values moved and scaled to [0, 1]. A few extreme ones must not take the colours from all others,
/// so 1 % at either end is cut off.
inline torch::Tensor in_unit_range(const torch::Tensor& values) {
  const auto low = values.quantile(0.01).item<float>();
  const auto high = values.quantile(0.99).item<float>();
  return ((values - low) / std::max(high - low, 1e-6f)).clamp(0, 1);
}

/// A page that grows downwards, written as a PNG: a title, then sections with pictures, feature
/// maps and a confusion matrix. Pictures and maps stand in the same columns, so that what belongs
/// to one picture stands below it.
class Sheet {
 public:
  /// A picture with what a classifier said about it.
  struct Picture {
    torch::Tensor pixels;  ///< (1, H, W) or (3, H, W), bytes or floats in [0, 1], of any size.
    std::string predicted;
    std::string truth;
    std::optional<double> confidence{};  ///< Of the prediction, in [0, 1].
  };

  explicit Sheet(int columns)
      : columns_(columns), width_(first_column + columns * column_width - gap + margin) {}

  void title(std::string_view text, std::string_view second_line) {
    y_ += margin + 26;
    page_.text(margin, y_, text, {.size = 30, .bold = true}, inner_width());
    y_ += 26;
    page_.text(margin, y_, second_line, {.size = 15, .colour = faint}, inner_width());
    y_ += 10;
  }

  /// Begins a section: a rule, a heading, and an explanation beside it.
  void section(std::string_view heading, std::string_view explanation) {
    const TextStyle bold{.size = 16, .bold = true};
    page_.fill(margin, y_ + 14, inner_width(), 1, rule);
    y_ += 42;
    page_.text(margin, y_, heading, bold, inner_width());
    const double used = page_.width(heading, bold) + gap;
    page_.text(margin + used, y_, explanation, {.colour = faint},
               std::max(inner_width() - used, 0.0));
    y_ += 16;
  }

  /// Pictures in rows, each with its prediction below, and where that is wrong, the truth.
  void pictures(std::span<const Picture> pictures) {
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      const auto column = static_cast<int>(i % static_cast<std::size_t>(columns_));
      if (i > 0 && column == 0) y_ += row_height;
      const Picture& picture = pictures[i];
      const bool is_right = picture.predicted == picture.truth;
      const int x = first_column + column * column_width;
      page_.fill(x, y_, cell, cell, empty);
      page_.image(x, y_, cell, picture_colours(picture.pixels));
      double room = cell;
      const TextStyle style{.colour = is_right ? blue : vermilion};
      if (picture.confidence) {
        const std::string per_cent = fmt::format("{:.0f} %", 100 * *picture.confidence);
        page_.text(x + cell, y_ + cell + 17, per_cent, style, cell, Align::right);
        room -= page_.width(per_cent, style) + 6;
      }
      page_.text(x, y_ + cell + 17, picture.predicted, style, room);
      if (!is_right) page_.text(x, y_ + cell + 34, "is " + picture.truth, {.colour = faint}, cell);
    }
    if (!pictures.empty()) y_ += row_height;
  }

  /// A picture with lines of text beside it.
  ///
  /// Shapes  pixels: as in `Picture`
  void picture(const torch::Tensor& pixels, std::span<const std::string> lines) {
    page_.image(first_column, y_, cell, picture_colours(pixels));
    constexpr int x = first_column + column_width;
    for (std::size_t i = 0; i < lines.size(); ++i)
      page_.text(x, y_ + 18 + 20 * static_cast<int>(i), lines[i], {.size = 15},
                 width_ - margin - x);
    y_ += std::max(cell, 20 * static_cast<int>(lines.size())) + gap;
  }

  /// One row of feature maps, `label` at the left.
  ///
  /// Shapes  maps: (N, H, W), in [0, 1]
  void maps(std::string_view label, const torch::Tensor& maps) {
    page_.text(first_column - gap, y_ + cell / 2 + 5, label, {.colour = faint}, label_width,
               Align::right);
    for (std::int64_t i = 0; i < maps.size(0); ++i)
      page_.image(first_column + static_cast<int>(i) * column_width, y_, cell,
                  scale_colours(viridis, maps[i]));
    y_ += cell + gap;
  }

  /// The colours of the maps.
  void scale_bar(std::string_view low, std::string_view high) {
    const TextStyle style{.colour = faint};
    page_.text(first_column, y_ + 16, low, style);
    constexpr int length = 256;
    const double x = std::round(first_column + page_.width(low, style) + gap);
    for (int i = 0; i < length; ++i)
      page_.fill(x + i, y_ + 4, 1, 16, colour_at(viridis, i / (length - 1.0)));
    page_.text(x + length + gap, y_ + 16, high, style);
    y_ += 24;
  }

  /// How often each class was taken for each: a row for each true class. What is right is blue,
  /// what is wrong orange; shades go by the square root of the part of the row, so that a few per
  /// cent are seen. Where there are so many classes that numbers or names do not fit, they are left
  /// out.
  ///
  /// Shapes  counts: (K, K), integers, [truth][predicted]
  /// Errors  c10::Error for other shapes, or another number of names.
  void confusion(const torch::Tensor& counts, std::span<const std::string> names) {
    const auto classes = static_cast<int>(names.size());
    TORCH_CHECK(counts.dim() == 2 && counts.size(0) == classes && counts.size(1) == classes,
                "mnv3: a confusion matrix of ", classes, " classes must be (", classes, ", ",
                classes, "), but is ", counts.sizes());
    if (classes == 0) return;
    const torch::Tensor whole = counts.detach().to(torch::kCPU, torch::kLong).contiguous();
    const auto count = whole.accessor<std::int64_t, 2>();

    // As large as fits beside the names; those of columns are tilted if a column is too narrow.
    const TextStyle small{};
    double longest = 0;
    for (const std::string& name : names) longest = std::max(longest, page_.width(name, small));
    const double room = std::min(longest, longest_name);
    const int left = margin + 28 + static_cast<int>(room) + gap;
    const int right = margin + static_cast<int>(std::max(recall_width, room * slope));
    const int side = std::clamp((width_ - right - left) / classes, 1, 72);
    const bool is_tilted = longest > side - 6;
    const bool has_names = side >= 14;
    const double header = !has_names ? 6 : is_tilted ? 12 + room * slope : 22;
    const int top = static_cast<int>(y_ + 24 + header);
    const int size = side * classes;

    // All numbers in the size in which the widest fits.
    const double widest = page_.width(fmt::format("{}", whole.max().item<std::int64_t>()), small);
    const TextStyle number{.size = std::min(13.0, 13 * (side - 6) / widest)};

    const TextStyle axis{.colour = faint};
    page_.text(left + size / 2, y_ + 14, "predicted", axis, no_limit, Align::centre);
    page_.text(margin + 14, top + size / 2, "truth", axis, no_limit, Align::centre, -90);
    if (has_names) page_.text(left + size + gap, top - 8, "right", axis);
    for (int row = 0; row < classes; ++row) {
      const std::string& name = names[static_cast<std::size_t>(row)];
      const int y = top + row * side, base = y + side / 2 + 5, x = left + row * side;
      if (has_names) {
        page_.text(left - gap, base, name, small, room, Align::right);
        if (is_tilted)
          page_.text(x + side / 2 + 4, top - 6, name, small, room, Align::left, -tilt);
        else
          page_.text(x + side / 2, top - 8, name, small, side, Align::centre);
      }
      const double total = static_cast<double>(whole[row].sum().item<std::int64_t>());
      for (int column = 0; column < classes; ++column) {
        const std::int64_t n = count[row][column];
        const double shade = total > 0 ? std::sqrt(static_cast<double>(n) / total) : 0;
        const int line = side >= 8 ? 1 : 0;  // between the cells
        page_.fill(left + column * side, y, side - line, side - line,
                   n == 0 ? empty : colour_at(row == column ? blues : oranges, shade));
        if (n > 0 && number.size >= 7)
          page_.text(left + column * side + side / 2, base, fmt::format("{}", n),
                     {.size = number.size, .colour = shade > 0.6 ? paper : ink}, no_limit,
                     Align::centre);
      }
      if (has_names && total > 0)
        page_.text(left + size + gap, base,
                   fmt::format("{:.1f} %", 100 * static_cast<double>(count[row][row]) / total),
                   small);
    }
    y_ = top + size + gap;
  }

  /// Errors  mnv3::WeightsError names the file and the reason.
  void write(const std::filesystem::path& path) const {
    page_.write(path, width_, static_cast<int>(y_) + margin, paper);
  }

 private:
  static constexpr double no_limit = Page::no_limit;
  static constexpr int cell = 112;  // side of a picture or map: a multiple of 28, 14, 7 and 4
  static constexpr int gap = 12;
  static constexpr int column_width = cell + gap;
  static constexpr int row_height = cell + 34 + gap;
  static constexpr int margin = 28;
  static constexpr int label_width = 68;
  static constexpr int first_column = margin + label_width + gap;
  static constexpr double recall_width = 64, longest_name = 170;
  static constexpr double tilt = 45, slope = 0.7072;  // degrees, and their sine
  static constexpr Colour paper = 0xfafaf8, ink = 0x1c1c20, faint = 0x6e6e76, rule = 0xd6d6d2,
                          empty = 0xf0f0ee;
  /// Source  Okabe and Ito (2008), "Color Universal Design": told apart by colour-blind people.
  static constexpr Colour blue = 0x0072b2, vermilion = 0xd55e00;

  double inner_width() const { return width_ - 2 * margin; }

  int columns_;
  int width_;
  double y_ = 0;
  Page page_;
};

}  // namespace examples
