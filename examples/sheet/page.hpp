// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <numbers>
#include <string>
#include <string_view>

#include <c10/util/Exception.h>
#include <cairo.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <mnv3/weights/bytes/atomic_file.hpp>
#include <mnv3/weights/bytes/name_file.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/error.hpp>

namespace examples {

using Colour = std::uint32_t;  ///< 0xRRGGBB

/// Colours of the values from 0 to 1: nine at equal distances, mixed linearly between them. All
/// three change evenly in brightness: they read in grey, and for colour-blind people.
using Scale = std::array<Colour, 9>;

/// Source  matplotlib 3.6 (CC0), values 0, 1/8, ..., 1 of "viridis".
inline constexpr Scale viridis{0x440154, 0x472c7a, 0x3b518b, 0x2c718e, 0x21908d,
                               0x27ad81, 0x5cc863, 0xaadc32, 0xfde725};
/// Source  ColorBrewer 2.0 (colorbrewer2.org, Apache 2.0), "Blues" and "Oranges" of nine classes.
inline constexpr Scale blues{0xf7fbff, 0xdeebf7, 0xc6dbef, 0x9ecae1, 0x6baed6,
                             0x4292c6, 0x2171b5, 0x08519c, 0x08306b};
inline constexpr Scale oranges{0xfff5eb, 0xfee6ce, 0xfdd0a2, 0xfdae6b, 0xfd8d3c,
                               0xf16913, 0xd94801, 0xa63603, 0x7f2704};

/// @param value  What lies outside [0, 1] has the colour of its end; not-a-number that of 0.
inline Colour colour_at(const Scale& scale, double value) {
  const double position = value > 0 ? std::min(value, 1.0) * 8 : 0;
  const auto below = std::min(static_cast<std::size_t>(position), scale.size() - 2);
  const double part = position - static_cast<double>(below);
  Colour mixed = 0;
  for (const int shift : {16, 8, 0}) {
    const double a = scale[below] >> shift & 0xff, b = scale[below + 1] >> shift & 0xff;
    mixed |= static_cast<Colour>(std::lround(a + part * (b - a))) << shift;
  }
  return mixed;
}

/// The pixels of a grey or RGB picture, as 0xRRGGBB.
///
/// Shapes  picture: (1, H, W) or (3, H, W), bytes or floats in [0, 1]; the result: (H, W), int32.
/// Errors  c10::Error for other shapes.
inline torch::Tensor picture_colours(const torch::Tensor& picture) {
  TORCH_CHECK(
      picture.dim() == 3 && (picture.size(0) == 1 || picture.size(0) == 3) && picture.numel() > 0,
      "mnv3: a picture to draw must be (1, H, W) or (3, H, W), but is ", picture.sizes());
  const torch::Tensor bytes =
      picture.is_floating_point() ? picture.mul(255).round().clamp(0, 255) : picture;
  const torch::Tensor rgb = bytes.detach().to(torch::kCPU, torch::kInt).expand({3, -1, -1});
  return rgb[0] * 0x10000 + rgb[1] * 0x100 + rgb[2];
}

/// `values` in the colours of `scale`.
///
/// Shapes  values: (H, W), floats; the result: (H, W), int32.
inline torch::Tensor scale_colours(const Scale& scale, const torch::Tensor& values) {
  const torch::Tensor floats = values.detach().to(torch::kCPU, torch::kFloat).contiguous();
  torch::Tensor colours = torch::empty(floats.sizes(), torch::kInt);
  std::transform(floats.data_ptr<float>(), floats.data_ptr<float>() + floats.numel(),
                 colours.data_ptr<std::int32_t>(),
                 [&](float value) { return static_cast<std::int32_t>(colour_at(scale, value)); });
  return colours;
}

struct TextStyle {
  double size = 13;  ///< Pixels.
  Colour colour = 0x1c1c20;
  bool bold = false;
};

enum class Align { left, centre, right };

/// A picture without borders to draw on, by Cairo. Coordinates are pixels, to the right and down.
class Page {
 public:
  static constexpr double no_limit = std::numeric_limits<double>::infinity();

  double width(std::string_view text, const TextStyle& style) const {
    return extents(mnv3::weights::printable(text), style).x_advance;
  }

  /// Writes `text` on the base line through (x, y). If it needs more than `room`, it ends in an
  /// ellipsis.
  ///
  /// @param angle  Of the base line around (x, y), in degrees, clockwise.
  void text(double x, double y, std::string_view text, const TextStyle& style,
            double room = no_limit, Align align = Align::left, double angle = 0) {
    std::string shown = mnv3::weights::printable(text);  // Cairo stops at what is no UTF-8
    double length = extents(shown, style).x_advance;
    for (std::string kept = shown; length > room && !kept.empty();) {
      while ((kept.back() & 0xc0) == 0x80 && kept.size() > 1) kept.pop_back();
      kept.pop_back();
      shown = kept + "…";
      length = extents(shown, style).x_advance;
    }
    cairo_save(context_.get());
    cairo_translate(context_.get(), x, y);
    cairo_rotate(context_.get(), angle * std::numbers::pi / 180);
    const double part = align == Align::left ? 0 : align == Align::centre ? 0.5 : 1;
    cairo_move_to(context_.get(), -part * length, 0);
    set_colour(context_.get(), style.colour);
    select(style);
    cairo_show_text(context_.get(), shown.c_str());
    cairo_restore(context_.get());
  }

  void fill(double x, double y, double width, double height, Colour colour) {
    set_colour(context_.get(), colour);
    cairo_rectangle(context_.get(), x, y, width, height);
    cairo_fill(context_.get());
  }

  /// Draws a picture into the middle of a square, as large as fits. Pixels that are enlarged to
  /// twice their size and more stay sharp squares.
  ///
  /// Shapes  colours: (H, W), int32, 0xRRGGBB.
  void image(double x, double y, int side, const torch::Tensor& colours) {
    const auto rows = static_cast<int>(colours.size(0)),
               columns = static_cast<int>(colours.size(1));
    const Surface source(cairo_image_surface_create(CAIRO_FORMAT_RGB24, columns, rows));
    check(cairo_surface_status(source.get()));
    cairo_surface_flush(source.get());
    const torch::Tensor dense = colours.contiguous();
    for (int row = 0; row < rows; ++row)
      std::memcpy(cairo_image_surface_get_data(source.get()) +
                      std::ptrdiff_t{row} * cairo_image_surface_get_stride(source.get()),
                  dense.data_ptr<std::int32_t>() + std::ptrdiff_t{row} * columns,
                  sizeof(std::int32_t) * static_cast<std::size_t>(columns));
    cairo_surface_mark_dirty(source.get());

    // Into a surface of the size that is shown: the page need not keep large pictures.
    const double factor = static_cast<double>(side) / std::max(rows, columns);
    const auto shown = [&](int pixels) { return std::max(1, static_cast<int>(pixels * factor)); };
    const int width = shown(columns), height = shown(rows);
    const Surface scaled(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height));
    const Context to(cairo_create(scaled.get()));
    cairo_scale(to.get(), static_cast<double>(width) / columns, static_cast<double>(height) / rows);
    cairo_set_source_surface(to.get(), source.get(), 0, 0);
    cairo_pattern_t* pattern = cairo_get_source(to.get());
    cairo_pattern_set_filter(pattern, factor >= 2 ? CAIRO_FILTER_NEAREST : CAIRO_FILTER_GOOD);
    cairo_pattern_set_extend(pattern, CAIRO_EXTEND_PAD);
    cairo_paint(to.get());
    check(cairo_status(to.get()));

    cairo_set_source_surface(context_.get(), scaled.get(), std::round(x + (side - width) / 2.0),
                             std::round(y + (side - height) / 2.0));
    cairo_paint(context_.get());
  }

  /// Writes what is drawn between (0, 0) and (width, height) as a PNG. The file appears under its
  /// name only when it is complete.
  ///
  /// Errors  mnv3::WeightsError names the file and the reason.
  void write(const std::filesystem::path& path, int width, int height, Colour paper) const {
    mnv3::weights::name_file_in_errors("write", path, [&] {
      const Surface picture(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height));
      const Context to(cairo_create(picture.get()));
      set_colour(to.get(), paper);
      cairo_paint(to.get());
      cairo_set_source_surface(to.get(), surface_.get(), 0, 0);
      cairo_paint(to.get());
      check(cairo_status(context_.get()));
      check(cairo_status(to.get()));
      mnv3::weights::AtomicFile file(path);
      const auto append = [](void* to_file, const unsigned char* bytes, unsigned size) {
        static_cast<mnv3::weights::AtomicFile*>(to_file)->write(bytes, size);
        return CAIRO_STATUS_SUCCESS;  // `commit` knows better
      };
      check(cairo_surface_write_to_png_stream(picture.get(), append, &file));
      file.commit();
    });
  }

 private:
  template <auto destroy>
  struct Destroy {
    void operator()(auto* thing) const { destroy(thing); }
  };
  using Surface = std::unique_ptr<cairo_surface_t, Destroy<cairo_surface_destroy>>;
  using Context = std::unique_ptr<cairo_t, Destroy<cairo_destroy>>;

  static void check(cairo_status_t status) {
    if (status != CAIRO_STATUS_SUCCESS)
      throw mnv3::WeightsError(fmt::format("Cairo says: {}", cairo_status_to_string(status)));
  }

  static void set_colour(cairo_t* context, Colour colour) {
    cairo_set_source_rgb(context, (colour >> 16 & 0xff) / 255.0, (colour >> 8 & 0xff) / 255.0,
                         (colour & 0xff) / 255.0);
  }

  void select(const TextStyle& style) const {
    cairo_select_font_face(context_.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(context_.get(), style.size);
  }

  cairo_text_extents_t extents(const std::string& text, const TextStyle& style) const {
    cairo_text_extents_t extents;
    select(style);
    cairo_text_extents(context_.get(), text.c_str(), &extents);
    return extents;
  }

  // Drawing is recorded, because how high the page is shows only at its end.
  Surface surface_{cairo_recording_surface_create(CAIRO_CONTENT_COLOR_ALPHA, nullptr)};
  Context context_{cairo_create(surface_.get())};
};

}  // namespace examples
