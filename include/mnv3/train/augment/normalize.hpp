// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <torch/types.h>

#include <mnv3/config/input.hpp>
#include <mnv3/vision/image.hpp>

namespace mnv3::train {

/// Writes a picture into its place in a batch: RGB in [0, 1], less a mean, over a deviation, the
/// bits of torchvision's ToTensor and Normalize, in one pass and in either layout.
class Normalize {
 public:
  explicit Normalize(const std::array<double, 3>& mean = imagenet_mean,
                     const std::array<double, 3>& std = imagenet_std) {
    for (std::size_t c = 0; c < 3; ++c) {
      TORCH_CHECK(std[c] > 0, "mnv3: a standard deviation is ", std[c], ", but must be above 0");
      for (std::size_t i = 0; i < 256; ++i)
        values_[c][i] = (static_cast<float>(i) / 255.0F - static_cast<float>(mean[c])) /
                        static_cast<float>(std[c]);
    }
  }

  /// Shapes  to: (3, H, W), float32, of the picture's size, in any layout.
  /// Errors  c10::Error if it is not.
  void operator()(const Image& image, const torch::Tensor& to) const {
    check_image(image);
    TORCH_CHECK(to.dim() == 3 && to.size(0) == 3 && to.size(1) == image.height &&
                    to.size(2) == image.width && to.scalar_type() == torch::kFloat,
                "mnv3: a picture of ", image.width, " x ", image.height,
                " does not fit into a tensor of shape ", to.sizes(), " and type ", to.scalar_type(),
                "; all pictures of a batch must have one size, so resize or crop them");
    const std::int64_t channel = to.stride(0), row = to.stride(1), column = to.stride(2);
    const std::uint8_t* pixel = image.rgb.data();
    for (std::int64_t y = 0; y < image.height; ++y) {
      float* out = to.data_ptr<float>() + y * row;
      for (std::int64_t x = 0; x < image.width; ++x, pixel += 3, out += column)
        for (std::size_t c = 0; c < 3; ++c)
          out[static_cast<std::int64_t>(c) * channel] = values_[c][pixel[c]];
    }
  }

 private:
  std::array<std::array<float, 256>, 3> values_{};
};

}  // namespace mnv3::train
