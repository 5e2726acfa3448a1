// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/name.hpp>
#include <mnv3/engine/fold.hpp>
#include <mnv3/weights/state_dict.hpp>

namespace mnv3::deployment {

/// A network's tensors by name, of any floating-point type and on any device, as the engine's
/// folding reads them (`engine::tensor_source`).
class TensorSource {
 public:
  explicit TensorSource(const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) by_name_.emplace(name, tensor);
  }

  /// Errors  c10::Error if there is no such tensor or if it has another shape or an integer type.
  template <class T>
  std::vector<T> values(const Name& name, engine::Shape wanted) const {
    const torch::Tensor& tensor = at(name);
    const at::IntArrayRef shape(wanted.begin(), wanted.size());
    TORCH_CHECK(tensor.sizes() == shape && tensor.is_floating_point(), "mnv3: folding needs ",
                name.view(), " as floating point of shape ", shape, ", but was given ",
                tensor.scalar_type(), " of shape ", tensor.sizes());
    const torch::Tensor dense =
        tensor.detach().to(torch::kCPU, c10::CppTypeToScalarType<T>::value).contiguous();
    const T* const from = dense.data_ptr<T>();
    return {from, from + dense.numel()};
  }

  /// The same as a tensor of `options`.
  torch::Tensor tensor(const Name& name, engine::Shape wanted,
                       const torch::TensorOptions& options) const {
    const std::vector<double> found = values<double>(name, wanted);
    return torch::tensor(at::ArrayRef<double>(found), torch::kDouble)
        .view(at::IntArrayRef(wanted.begin(), wanted.size()))
        .to(options);
  }

  /// The first size of a tensor, where only the tensor tells it.
  ///
  /// Errors  c10::Error if there is no such tensor, or if it is a scalar.
  std::int64_t size(const Name& name) const { return at(name).size(0); }

 private:
  const torch::Tensor& at(const Name& name) const {
    const auto found = by_name_.find(name.view());
    TORCH_CHECK(found != by_name_.end() && found->second.defined(),
                "mnv3: folding needs the tensor ", name.view(), ", which is missing");
    return found->second;
  }

  std::map<std::string, torch::Tensor, std::less<>> by_name_;
};

}  // namespace mnv3::deployment
