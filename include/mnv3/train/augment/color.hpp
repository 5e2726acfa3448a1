// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <mnv3/vision/image.hpp>

// Colours changed as torchvision's functions of the same names change those of Pillow's pictures,
// to the bit. A picture that is moved in is changed where it is.

namespace mnv3::train {

namespace detail {

/// What becomes of each value of a byte.
using ByteMap = std::array<std::uint8_t, 256>;

template <class Function>
ByteMap byte_map(Function&& function) {
  ByteMap map{};
  for (int i = 0; i < 256; ++i) map[static_cast<std::size_t>(i)] = function(i);
  return map;
}

inline Image mapped(Image image, const ByteMap& map) {
  for (std::uint8_t& byte : image.rgb) byte = map[byte];
  return image;
}

/// Each of red, green and blue by a map of its own.
inline Image mapped(Image image, const std::array<ByteMap, 3>& maps) {
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3)
    for (std::size_t c = 0; c < 3; ++c) image.rgb[i + c] = maps[c][image.rgb[i + c]];
  return image;
}

/// Between `from`, at factor 0, and `to`, at 1, or further on.
/// Source  Pillow 9.4 src/libImaging/Blend.c: it counts in float32 and cuts off what is left.
inline std::uint8_t blend(int from, int to, float factor) {
  const float mixed = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<std::uint8_t>(std::clamp(mixed, 0.0F, 255.0F));
}

/// ITU-R 601-2 luma, rounded.
/// Source  Pillow 9.4 src/libImaging/Convert.c L24.
inline std::uint8_t grey(const std::uint8_t* pixel) {
  return static_cast<std::uint8_t>(
      (19595U * pixel[0] + 38470U * pixel[1] + 7471U * pixel[2] + 0x8000U) >> 16);
}

inline float blend_factor(double factor, const char* of_what) {
  if (!(factor >= 0) || std::isinf(factor))
    throw std::invalid_argument(
        fmt::format("mnv3: the factor of {} is {}, but must be at least 0 (1 changes nothing)",
                    of_what, factor));
  return static_cast<float>(factor);
}

}  // namespace detail

/// From black, at factor 0, over the picture itself, at 1, to brighter ones.
///
/// Errors  std::invalid_argument if `factor` is below 0; the same holds for the next three.
/// Source  torchvision 0.14.1 transforms/functional_pil.py, Pillow 9.4 ImageEnhance.py; the same
///         holds for all that follow.
inline Image adjust_brightness(Image image, double factor) {
  const float by = detail::blend_factor(factor, "brightness");
  return detail::mapped(std::move(image),
                        detail::byte_map([&](int value) { return detail::blend(0, value, by); }));
}

/// From the mean grey, at factor 0, over the picture itself to more contrast.
inline Image adjust_contrast(Image image, double factor) {
  const float by = detail::blend_factor(factor, "contrast");
  check_image(image);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) sum += detail::grey(&image.rgb[i]);
  const auto pixels = static_cast<double>(image.rgb.size() / 3);
  const int mean = static_cast<int>(static_cast<double>(sum) / pixels + 0.5);
  return detail::mapped(std::move(image), detail::byte_map([&](int value) {
                          return detail::blend(mean, value, by);
                        }));
}

/// From grey, at factor 0, over the picture itself to stronger colours.
inline Image adjust_saturation(Image image, double factor) {
  const float by = detail::blend_factor(factor, "saturation");
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
    const int grey = detail::grey(&image.rgb[i]);
    for (std::size_t c = 0; c < 3; ++c)
      image.rgb[i + c] = detail::blend(grey, image.rgb[i + c], by);
  }
  return image;
}

/// From a smoothed picture, at factor 0, over the picture itself to a sharper one. The pixels along
/// the edges stay.
inline Image adjust_sharpness(Image image, double factor) {
  const float by = detail::blend_factor(factor, "sharpness");
  check_image(image);
  const Image from = image;
  const auto width = static_cast<std::size_t>(image.width);
  const std::size_t row = from.row_bytes();
  for (std::size_t y = 1; y + 1 < static_cast<std::size_t>(image.height); ++y)
    for (std::size_t i = y * row + 3; width > 2 && i < (y + 1) * row - 3; ++i) {
      const std::uint8_t* at = &from.rgb[i];
      const auto three = [&](const std::uint8_t* middle) {
        return middle[-3] + middle[0] + middle[3];
      };
      // A thirteenth of it, rounded.
      const int sum = three(at - row) + three(at) + three(at + row) + 4 * at[0];
      image.rgb[i] = detail::blend((2 * sum + 13) / 26, at[0], by);
    }
  return image;
}

/// Keeps the `bits` highest bits of each byte.
///
/// Errors  std::invalid_argument unless `bits` is from 0 to 8.
inline Image posterize(Image image, int bits) {
  if (bits < 0 || bits > 8)
    throw std::invalid_argument(
        fmt::format("mnv3: posterize keeps from 0 to 8 bits of a byte, not {}", bits));
  const int mask = 256 - (1 << (8 - bits));
  return detail::mapped(std::move(image), detail::byte_map([&](int value) {
                          return static_cast<std::uint8_t>(value & mask);
                        }));
}

/// Inverts the bytes from `threshold` on.
inline Image solarize(Image image, double threshold) {
  return detail::mapped(std::move(image), detail::byte_map([&](int value) {
                          return static_cast<std::uint8_t>(value < threshold ? value : 255 - value);
                        }));
}

namespace detail {

using Histogram = std::array<std::int64_t, 256>;

inline std::array<Histogram, 3> histograms(const Image& image) {
  std::array<Histogram, 3> found{};
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3)
    for (std::size_t c = 0; c < 3; ++c) ++found[c][image.rgb[i + c]];
  return found;
}

inline ByteMap identity_map() {
  return byte_map([](int value) { return static_cast<std::uint8_t>(value); });
}

template <class MapOfHistogram>
Image mapped_by_histogram(Image image, MapOfHistogram&& map_of) {
  const std::array<Histogram, 3> found = histograms(image);
  return mapped(std::move(image), std::array{map_of(found[0]), map_of(found[1]), map_of(found[2])});
}

}  // namespace detail

/// Stretches each colour so that its darkest value becomes 0 and its brightest 255.
inline Image autocontrast(Image image) {
  return detail::mapped_by_histogram(std::move(image), [](const detail::Histogram& histogram) {
    int low = 0, high = 255;
    while (low < 255 && histogram[static_cast<std::size_t>(low)] == 0) ++low;
    while (high > 0 && histogram[static_cast<std::size_t>(high)] == 0) --high;
    if (high <= low) return detail::identity_map();
    const double scale = 255.0 / (high - low);
    const double offset = -low * scale;
    return detail::byte_map([&](int value) {
      return static_cast<std::uint8_t>(
          std::clamp(static_cast<int>(value * scale + offset), 0, 255));
    });
  });
}

/// Spreads the values of each colour so that all are about equally frequent.
inline Image equalize(Image image) {
  return detail::mapped_by_histogram(std::move(image), [](const detail::Histogram& histogram) {
    std::int64_t sum = 0, last = 0;
    for (const std::int64_t count : histogram) {
      sum += count;
      if (count > 0) last = count;
    }
    const std::int64_t step = (sum - last) / 255;
    if (step == 0) return detail::identity_map();
    std::int64_t below = step / 2;
    return detail::byte_map([&](int value) {
      const std::int64_t level = below / step;
      below += histogram[static_cast<std::size_t>(value)];
      return static_cast<std::uint8_t>(std::min<std::int64_t>(level, 255));
    });
  });
}

}  // namespace mnv3::train
