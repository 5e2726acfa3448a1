// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>

#include <torch/types.h>

#include <mnv3/deploy/deployed.hpp>
#include <mnv3/nn/with_head.hpp>

namespace mnv3 {

/// A backbone on our kernels with a head of the user's own, which runs as it is, in evaluation
/// mode. It has copies of both. Any number of threads may call one object at once if the head's
/// `forward` writes nothing in the head; LibTorch's modules do not in evaluation mode.
template <class Backbone, class Head, class DeployedBackbone>
class DeployedWithHead {
  using HeadImpl = typename WithHeadImpl<Backbone, Head>::HeadImpl;

 public:
  DeployedWithHead(DeployedBackbone backbone, std::shared_ptr<HeadImpl> head)
      : backbone_(std::move(backbone)), head_(std::move(head)) {
    head_->eval();
  }

  /// Shapes  As the module's `forward`.
  /// Errors  As the backbone's and the head's.
  /// Grad    None.
  auto operator()(const torch::Tensor& x) const {
    const torch::NoGradGuard no_grad;
    return nn::run_head(*head_, backbone_(x));
  }

 private:
  DeployedBackbone backbone_;
  std::shared_ptr<HeadImpl> head_;
};

/// A copy of `net` for inference: the backbone as `deploy(net->backbone)`, and its head.
///
/// Errors  As `deploy` for the backbone; c10::Error if the head cannot be cloned.
template <Precision precision = Precision::same, class Backbone, class Head>
auto deploy(const WithHead<Backbone, Head>& net) {
  net->check_children();
  auto backbone = deploy<precision>(net->backbone);
  auto head = std::dynamic_pointer_cast<typename WithHeadImpl<Backbone, Head>::HeadImpl>(
      net->head->clone());
  return DeployedWithHead<Backbone, Head, decltype(backbone)>(std::move(backbone), std::move(head));
}

}  // namespace mnv3
