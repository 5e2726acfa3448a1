// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>
#include <torch/types.h>

#include <mnv3/weights/error.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/torch_dtype.hpp>

namespace mnv3::weights {

/// Whether all this can be in a weights file.
///
/// Errors  WeightsError, without the file's name.
inline void check_writable(const NamedTensors& tensors) {
  std::unordered_set<std::string_view> names;
  for (const auto& item : tensors) {
    const torch::Tensor& tensor = item.second;
    const auto fail = [&item](std::string_view what) {
      throw WeightsError(fmt::format("tensor '{}' {}", item.first, what));
    };
    if (!names.insert(item.first).second) fail("is given twice");
    if (!tensor.defined()) fail("is undefined");
    if (tensor.layout() != at::kStrided || tensor.is_quantized()) fail("is not dense");
    if (tensor.is_meta()) fail("has no values: it is on the meta device");
    if (row_of(tensor.scalar_type()) == nullptr)
      fail(fmt::format("is of a dtype that is not supported ({})",
                       c10::toString(tensor.scalar_type())));
  }
}

/// Its values in the order of its dimensions.
inline torch::Tensor dense_on_cpu(const torch::Tensor& tensor) {
  return tensor.detach().to(at::kCPU).resolve_neg().contiguous();
}

}  // namespace mnv3::weights
