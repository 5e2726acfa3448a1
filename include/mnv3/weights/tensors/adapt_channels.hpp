// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <torch/types.h>

#include <mnv3/weights/matching/adapt_channels.hpp>

namespace mnv3::weights {

/// `adapt_channels` for a tensor of any type: float64 if it is that, else float32. The sum has more
/// digits than a file's float16.
inline torch::Tensor adapted_to_channels(const torch::Tensor& rgb, std::int64_t channels) {
  const auto adapted_as = [&]<class T>(T, torch::Dtype dtype) {
    const torch::Tensor from = rgb.to(dtype).contiguous();
    const torch::Tensor to =
        torch::empty({rgb.size(0), channels, rgb.size(2), rgb.size(3)}, from.options());
    const auto span_of = [](const torch::Tensor& tensor) {
      return std::span(tensor.data_ptr<T>(), static_cast<std::size_t>(tensor.numel()));
    };
    adapt_channels<T>(span_of(from), span_of(to), static_cast<std::size_t>(rgb.size(0)),
                      static_cast<std::size_t>(channels));
    return to;
  };
  return rgb.scalar_type() == torch::kDouble ? adapted_as(double{}, torch::kDouble)
                                             : adapted_as(float{}, torch::kFloat);
}

}  // namespace mnv3::weights
