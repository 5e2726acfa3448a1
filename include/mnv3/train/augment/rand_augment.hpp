// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <mnv3/train/augment/affine.hpp>
#include <mnv3/train/augment/color.hpp>
#include <mnv3/train/augment/random_stream.hpp>
#include <mnv3/vision/image.hpp>

namespace mnv3::train {

/// Does `num_ops` things to a picture, drawn from fourteen, all as strongly as `magnitude` says:
/// from 0 up to `num_magnitude_bins - 1`.
/// Source  Cubuk et al. 2019, arXiv:1909.13719; torchvision 0.14.1 transforms/autoaugment.py
///         RandAugment: which they are, and how strong.
struct RandAugment {
  int num_ops = 2;
  int magnitude = 9;
  int num_magnitude_bins = 31;

  enum class Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize
  };
  static constexpr std::array<std::string_view, 14> op_names{
      "Identity", "ShearX",   "ShearY",    "TranslateX", "TranslateY", "Rotate",       "Brightness",
      "Color",    "Contrast", "Sharpness", "Posterize",  "Solarize",   "AutoContrast", "Equalize"};

  /// Errors  std::invalid_argument if `num_ops` is below 0, or `magnitude` is no bin.
  Image operator()(Image image, RandomStream& random) const {
    check();
    for (int i = 0; i < num_ops; ++i) {
      const auto op = static_cast<Op>(random.below(static_cast<std::int64_t>(op_names.size())));
      const double strength = strength_of(op, image.width, image.height);
      const bool negative = has_sign(op) && random.below(2) == 1;
      image = apply(std::move(image), op, negative ? -strength : strength);
    }
    return image;
  }

  /// How strong an operation is at this `magnitude`, in its own unit.
  double strength_of(Op op, int width, int height) const {
    const double part = static_cast<double>(magnitude) / (num_magnitude_bins - 1);
    switch (op) {
      case Op::ShearX:
      case Op::ShearY:
        return 0.3 * part;
      case Op::TranslateX:
        return 150.0 / 331.0 * width * part;
      case Op::TranslateY:
        return 150.0 / 331.0 * height * part;
      case Op::Rotate:
        return 30 * part;
      case Op::Brightness:
      case Op::Color:
      case Op::Contrast:
      case Op::Sharpness:
        return 0.9 * part;
      case Op::Posterize:
        return 8 - std::nearbyint(4 * part);  // a half goes to the even neighbour
      case Op::Solarize:
        return 255 * (1 - part);
      case Op::Identity:
      case Op::AutoContrast:
      case Op::Equalize:
        break;
    }
    return 0;
  }

  static bool has_sign(Op op) { return op >= Op::ShearX && op <= Op::Sharpness; }

  /// One operation.
  ///
  /// Units   strength: what a row is shifted by, pixels, degrees, what is added to a factor of 1,
  ///         bits, a byte; see `strength_of`.
  static Image apply(Image image, Op op, double strength) {
    switch (op) {
      case Op::ShearX:
        return shear_x(image, strength);
      case Op::ShearY:
        return shear_y(image, strength);
      case Op::TranslateX:
        return translate(image, static_cast<int>(strength), 0);
      case Op::TranslateY:
        return translate(image, 0, static_cast<int>(strength));
      case Op::Rotate:
        return rotate(image, strength);
      case Op::Brightness:
        return adjust_brightness(std::move(image), 1 + strength);
      case Op::Color:
        return adjust_saturation(std::move(image), 1 + strength);
      case Op::Contrast:
        return adjust_contrast(std::move(image), 1 + strength);
      case Op::Sharpness:
        return adjust_sharpness(std::move(image), 1 + strength);
      case Op::Posterize:
        return posterize(std::move(image), static_cast<int>(strength));
      case Op::Solarize:
        return solarize(std::move(image), strength);
      case Op::AutoContrast:
        return autocontrast(std::move(image));
      case Op::Equalize:
        return equalize(std::move(image));
      case Op::Identity:
        break;
    }
    return image;
  }

  void check() const {
    if (num_ops < 0)
      throw std::invalid_argument(
          fmt::format("mnv3: RandAugment cannot do {} things to a picture", num_ops));
    if (num_magnitude_bins < 2 || magnitude < 0 || magnitude >= num_magnitude_bins)
      throw std::invalid_argument(
          fmt::format("mnv3: RandAugment's magnitude is {}, but with {} bins (at least 2) it must "
                      "be from 0 to {}",
                      magnitude, num_magnitude_bins, num_magnitude_bins - 1));
  }
};

}  // namespace mnv3::train
