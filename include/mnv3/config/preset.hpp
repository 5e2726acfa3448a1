// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/input.hpp>

namespace mnv3 {

/// How a picture is resized. Both look at every pixel that lies below the result's (`antialias`).
enum class Interpolation { bilinear, bicubic };

/// What a classifier's weights expect to be done to a picture: the short side becomes
/// `resize_size`, the centre is cut out, RGB in [0, 1] is normalised.
/// Source  torchvision 0.14.1 transforms/_presets.py L38-63.
struct ImageClassification {
  int crop_size = 224;
  int resize_size = 256;
  std::array<double, 3> mean = imagenet_mean;
  std::array<double, 3> std = imagenet_std;
  Interpolation interpolation = Interpolation::bilinear;
};

}  // namespace mnv3
