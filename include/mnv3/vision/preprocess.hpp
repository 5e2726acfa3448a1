// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include <torch/types.h>

#include <mnv3/config/preset.hpp>
#include <mnv3/vision/image.hpp>
#include <mnv3/vision/resize.hpp>

namespace mnv3 {

/// The picture as a tensor of its own.
///
/// Shapes  (3, H, W), float32.
/// Units   RGB in [0, 1].
/// Errors  As `check_image`.
inline torch::Tensor to_tensor(const Image& image) {
  check_image(image);
  torch::Tensor bytes = torch::empty({image.height, image.width, 3}, torch::kUInt8);
  std::copy(image.rgb.begin(), image.rgb.end(), bytes.data_ptr<std::uint8_t>());
  return bytes.permute({2, 0, 1}).to(torch::kFloat).contiguous().div_(255);
}

/// What a classifier with these weights takes: resized, cropped, normalised.
///
/// Shapes  (3, crop_size, crop_size), float32; `unsqueeze(0)` makes a batch of it.
/// Errors  VisionError if the picture has no pixels or a very long side.
/// Source  torchvision 0.14.1 transforms/_presets.py L57-63, on a PIL image: the same bits.
inline torch::Tensor preprocess(const Image& image, const ImageClassification& preset = {}) {
  const Image resized = resize_shorter_side(image, preset.resize_size, preset.interpolation);
  const torch::Tensor x = to_tensor(center_crop(resized, preset.crop_size, preset.crop_size));
  const auto per_channel = [](const std::array<double, 3>& values) {
    return torch::tensor(at::ArrayRef<double>(values), torch::kFloat).view({3, 1, 1});
  };
  return (x - per_channel(preset.mean)).div_(per_channel(preset.std));
}

}  // namespace mnv3
