// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace mnv3::train {

/// Processes that train one network together. This class itself is the group of one process, in
/// which nothing needs to be done; `train/distributed/` has one of many.
///
/// Every rank makes the same calls in the same order.
class Group {
 public:
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  virtual ~Group() = default;

  /// From 0 on. Rank 0 is the one that writes files and prints.
  virtual int rank() const { return 0; }
  virtual int size() const { return 1; }

  /// Replaces `tensor` by its sum over all ranks.
  virtual void all_reduce(torch::Tensor& tensor) { static_cast<void>(tensor); }
  /// Gives every rank the values that `tensor` has in rank 0.
  virtual void broadcast(torch::Tensor& tensor) { static_cast<void>(tensor); }
  /// Returns when all ranks are here.
  virtual void barrier() {}

  /// Gives all ranks rank 0's parameters and buffers, and makes every later gradient of the
  /// parameters that are trainable now the mean over all ranks. To be called again when other
  /// parameters become trainable.
  virtual void attach(torch::nn::Module& module) { static_cast<void>(module); }
  /// To be called between the forward pass that gave `outputs` and `backward`. With `synchronize`
  /// false the gradients of this pass stay this rank's, to be summed with those of the next.
  virtual void prepare_for_backward(const std::vector<torch::Tensor>& outputs, bool synchronize) {
    static_cast<void>(outputs);
    static_cast<void>(synchronize);
  }
};

}  // namespace mnv3::train
