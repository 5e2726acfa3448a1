// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>

#include <torch/types.h>

#include <mnv3/deploy/deployed.hpp>
#include <mnv3/heads/deeplabv3.hpp>
#include <mnv3/heads/lraspp.hpp>

namespace mnv3 {

/// A segmentation network for inference: the backbone on our kernels, its head as it is, in
/// evaluation mode. It has copies of both; any number of threads may call one object at once.
template <class Network>
class DeployedSegmentation {
  using Backbone = decltype(std::declval<Network>()->backbone);
  using DeployedBackbone = decltype(deploy(std::declval<const Backbone&>()));

 public:
  /// What `deploy` makes.
  explicit DeployedSegmentation(const Network& network)
      : backbone_(deploy(network->backbone)), network_(network.clone().ptr()) {
    network_->eval();
  }

  /// As the module's `forward`: logits, or what DeepLabV3 gives.
  ///
  /// Grad    None.
  auto operator()(const torch::Tensor& x) const {
    const torch::NoGradGuard no_grad;
    const auto features = heads::outputs_of(backbone_, x);
    const auto at_size = [&](const torch::Tensor& logits) {
      return heads::resize_to(logits, x.size(2), x.size(3));
    };
    if constexpr (requires { network_->aux_classifier; }) {
      Segmentation result{at_size(network_->classifier->forward(features.back())), {}};
      if constexpr (Network::Impl::has_aux)
        result.aux = at_size(network_->aux_classifier->forward(features[0]));
      return result;
    } else {
      return at_size(network_->classifier->forward(features[0], features[1]));
    }
  }

 private:
  DeployedBackbone backbone_;
  std::shared_ptr<typename Network::Impl> network_;
};

/// Errors  As `deploy` of the backbone.
template <class Backbone>
DeployedSegmentation<LRASPP<Backbone>> deploy(const LRASPP<Backbone>& network) {
  return DeployedSegmentation<LRASPP<Backbone>>(network);
}
template <class Backbone>
DeployedSegmentation<DeepLabV3<Backbone>> deploy(const DeepLabV3<Backbone>& network) {
  return DeployedSegmentation<DeepLabV3<Backbone>>(network);
}

}  // namespace mnv3
