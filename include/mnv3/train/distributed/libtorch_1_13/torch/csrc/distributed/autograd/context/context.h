// SPDX-License-Identifier: MIT
#pragma once
#pragma GCC system_header

// LibTorch 1.13 exports its `c10d::Reducer` and installs reducer.hpp, but not the header of this
// name that reducer.hpp includes (pytorch issue 88006). This stands in for it, with the two names
// that reducer.hpp uses. Where LibTorch has its own, as from 2.0 on, that is taken.

#if __has_include_next(<torch/csrc/distributed/autograd/context/context.h>)
#include_next <torch/csrc/distributed/autograd/context/context.h>
#else

#include <functional>
#include <memory>

#include <ATen/core/TensorBody.h>

namespace torch::distributed::autograd {

/// Only ever pointed to, and the pointer is null as long as nobody uses LibTorch's RPC.
class DistAutogradContext {
 public:
  using GradCallback = std::function<bool(at::Tensor&)>;
};

using ContextPtr = std::shared_ptr<DistAutogradContext>;

}  // namespace torch::distributed::autograd

#endif
