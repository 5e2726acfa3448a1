// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

namespace mnv3 {

/// Tensors by name, in order.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// What Python's `module.state_dict()` gives: each module's parameters, then its buffers, then its
/// children's. The tensors are the module's own, not copies.
inline NamedTensors state_dict(const torch::nn::Module& module, const std::string& prefix = {}) {
  NamedTensors tensors;
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    tensors.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    tensors.emplace_back(prefix + item.key(), item.value());
  for (const auto& child : module.named_children()) {
    NamedTensors below = state_dict(*child.value(), prefix + child.key() + ".");
    tensors.insert(tensors.end(), below.begin(), below.end());
  }
  return tensors;
}

}  // namespace mnv3
