// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include <mnv3/vision/image.hpp>

namespace mnv3::train {

namespace detail {

/// Colours as Pillow's mode HSV has them, in bytes.
/// Source  Pillow 9.4 src/libImaging/Convert.c rgb2hsv and hsv2rgb: what is counted in float32,
///         what in float64, and what is cut off where others round.
struct Hsv {
  std::uint8_t hue, saturation, value;
};

/// The tables of what would take divisions and rounding for each pixel.
class HsvTables {
 public:
  static const HsvTables& get() {
    static const HsvTables tables;
    return tables;
  }

  Hsv to_hsv(const std::uint8_t* rgb) const {
    const int red = rgb[0], green = rgb[1], blue = rgb[2];
    const int most = std::max({red, green, blue}), least = std::min({red, green, blue});
    const auto value = static_cast<std::uint8_t>(most);
    if (most == least) return {0, 0, value};
    // The sixth of the circle follows from which is the largest, and the place in it from how far
    // the other two are from it.
    const auto [third, first, second] = red == most     ? std::array{0, blue, green}
                                        : green == most ? std::array{1, red, blue}
                                                        : std::array{2, green, red};
    const bool first_is_least = first == least;
    const int other = first_is_least ? second : first;
    return {hues_[at(2 * third + (first_is_least ? 1 : 0), most - least, most - other)],
            saturations_[at(0, most, most - least)], value};
  }

  void to_rgb(Hsv hsv, std::uint8_t* rgb) const {
    const std::uint8_t value = hsv.value;
    if (hsv.saturation == 0) {
      rgb[0] = rgb[1] = rgb[2] = value;
      return;
    }
    const Sector& sector = sectors_[hsv.hue];
    const std::uint8_t low = lows_[at(0, value, hsv.saturation)];
    const auto middle = static_cast<std::uint8_t>(
        value * (1.0 - static_cast<double>(fractions_[hsv.saturation]) * sector.part) + 0.5);
    rgb[sector.full] = value;
    rgb[sector.middle] = middle;
    rgb[sector.low] = low;
  }

 private:
  /// Where a hue lies: which colour is full, which in between, which low.
  struct Sector {
    double part;  ///< How much of the saturation the one in between loses.
    std::uint8_t full, middle, low;
  };

  static std::size_t at(int table, int row, int column) {
    return (static_cast<std::size_t>(table) * 256 + static_cast<std::size_t>(row)) * 256 +
           static_cast<std::size_t>(column);
  }

  HsvTables() : hues_(6 * 65536), saturations_(65536), lows_(65536) {
    for (int range = 1; range < 256; ++range)
      for (int distance = 0; distance <= range; ++distance)
        for (int sixth = 0; sixth < 6; ++sixth)
          hues_[at(sixth, range, distance)] = hue(sixth, range, distance);
    for (int a = 1; a < 256; ++a)
      for (int b = 0; b <= a; ++b)
        saturations_[at(0, a, b)] = static_cast<std::uint8_t>(
            static_cast<double>(static_cast<float>(b) / static_cast<float>(a)) * 255.0);
    for (int i = 0; i < 256; ++i) {
      fractions_[static_cast<std::size_t>(i)] = static_cast<float>(i / 255.0);
      sectors_[static_cast<std::size_t>(i)] = sector(i);
    }
    for (int value = 0; value < 256; ++value)
      for (int saturation = 0; saturation < 256; ++saturation)
        lows_[at(0, value, saturation)] = static_cast<std::uint8_t>(std::lround(
            value * (1.0 - static_cast<double>(fractions_[static_cast<std::size_t>(saturation)]))));
  }

  static std::uint8_t hue(int sixth, int range, int distance) {
    const float part = static_cast<float>(distance) / static_cast<float>(range);
    const float first = sixth % 2 == 1 ? 1.0F : part, second = sixth % 2 == 1 ? part : 1.0F;
    const int third = sixth / 2;
    const float hue = third == 0 ? first - second
                                 : static_cast<float>(2.0 * third + static_cast<double>(first) -
                                                      static_cast<double>(second));
    const auto turn = static_cast<float>(std::fmod(static_cast<double>(hue) / 6.0 + 1.0, 1.0));
    return static_cast<std::uint8_t>(std::clamp(static_cast<int>(turn * 255.0), 0, 255));
  }

  static Sector sector(int hue) {
    const double sixths = static_cast<double>(static_cast<float>(hue)) * 6.0 / 255.0;
    const int whole = static_cast<int>(sixths);
    const auto rest = static_cast<float>(sixths - static_cast<float>(whole));
    constexpr std::array<std::array<std::uint8_t, 3>, 6> places{
        {{0, 1, 2}, {1, 0, 2}, {1, 2, 0}, {2, 1, 0}, {2, 0, 1}, {0, 2, 1}}};
    const auto& place = places[static_cast<std::size_t>(whole % 6)];
    return {whole % 2 == 0 ? 1.0 - static_cast<double>(rest) : static_cast<double>(rest), place[0],
            place[1], place[2]};
  }

  std::vector<std::uint8_t> hues_, saturations_, lows_;
  std::array<float, 256> fractions_{};
  std::array<Sector, 256> sectors_{};
};

}  // namespace detail

/// Turns all colours around the colour circle: by half of it at 0.5 and at -0.5, not at all at 0.
/// It goes by 255 steps, as Pillow does, so that colours change a little even at 0.
///
/// Errors  std::invalid_argument unless `factor` is from -0.5 to 0.5.
/// Source  torchvision 0.14.1 transforms/functional_pil.py adjust_hue.
inline Image adjust_hue(Image image, double factor) {
  if (!(factor >= -0.5 && factor <= 0.5))
    throw std::invalid_argument(
        fmt::format("mnv3: the factor of hue is {}, but must be from -0.5 to 0.5", factor));
  const detail::HsvTables& tables = detail::HsvTables::get();
  const auto turn = static_cast<std::uint8_t>(static_cast<int>(factor * 255));
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
    detail::Hsv hsv = tables.to_hsv(&image.rgb[i]);
    hsv.hue = static_cast<std::uint8_t>(hsv.hue + turn);
    tables.to_rgb(hsv, &image.rgb[i]);
  }
  return image;
}

}  // namespace mnv3::train
