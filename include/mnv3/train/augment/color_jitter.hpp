// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <mnv3/train/augment/color.hpp>
#include <mnv3/train/augment/hue.hpp>
#include <mnv3/train/augment/random_stream.hpp>
#include <mnv3/vision/image.hpp>

namespace mnv3::train {

/// Changes brightness, contrast, saturation and hue at random and in random order. A factor comes
/// from 1 - x to 1 + x, but not from below 0; that of hue from -x to x. At 0 nothing changes.
/// Source  torchvision 0.14.1 transforms/transforms.py ColorJitter.
struct ColorJitter {
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;

  /// Errors  std::invalid_argument if a member is below 0, or `hue` above 0.5.
  Image operator()(Image image, RandomStream& random) const {
    check();
    std::array<int, 4> order{0, 1, 2, 3};
    for (std::size_t left = 4; left > 1; --left)
      std::swap(order[left - 1],
                order[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(left)))]);
    const auto around_1 = [&](double x) { return random.uniform(std::max(1 - x, 0.0), 1 + x); };
    const double brighter = around_1(brightness), stronger = around_1(contrast),
                 fuller = around_1(saturation), turn = random.uniform(-hue, hue);
    for (const int what : order) {
      if (what == 0 && brightness > 0) image = adjust_brightness(std::move(image), brighter);
      if (what == 1 && contrast > 0) image = adjust_contrast(std::move(image), stronger);
      if (what == 2 && saturation > 0) image = adjust_saturation(std::move(image), fuller);
      if (what == 3 && hue > 0) image = adjust_hue(std::move(image), turn);
    }
    return image;
  }

  void check() const {
    if (!(brightness >= 0 && contrast >= 0 && saturation >= 0 && hue >= 0 && hue <= 0.5))
      throw std::invalid_argument(
          fmt::format("mnv3: ColorJitter takes numbers from 0 on, and for hue up to 0.5, but has "
                      "brightness {}, contrast {}, saturation {}, hue {}",
                      brightness, contrast, saturation, hue));
  }
};

}  // namespace mnv3::train
