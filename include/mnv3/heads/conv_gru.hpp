// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace mnv3::heads {

/// A gated recurrent unit whose products are 3x3 convolutions.
///
/// Source  RobustVideoMatting model/decoder.py, as published (arXiv:2108.11515, section 3.2).
class ConvGruImpl final : public torch::nn::Cloneable<ConvGruImpl> {
 public:
  explicit ConvGruImpl(std::int64_t channels) : channels_(channels) { reset(); }

  void reset() override {
    const auto conv = [](std::int64_t in, std::int64_t out) {
      return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1));
    };
    ih = register_module(
        "ih", torch::nn::Sequential(conv(2 * channels_, 2 * channels_), torch::nn::Sigmoid()));
    hh = register_module("hh",
                         torch::nn::Sequential(conv(2 * channels_, channels_), torch::nn::Tanh()));
  }

  /// The next hidden state, which is also the output.
  ///
  /// Shapes  x, h and result: (B, channels, H, W).
  torch::Tensor step(const torch::Tensor& x, const torch::Tensor& h) {
    const auto gates = ih->forward(torch::cat({x, h}, 1)).chunk(2, 1);
    const torch::Tensor candidate = hh->forward(torch::cat({x, gates[0] * h}, 1));
    return (1 - gates[1]) * h + gates[1] * candidate;
  }

  /// All frames of a sequence in their order; a state that is not defined is zeros.
  ///
  /// Shapes  x: (B, C, H, W) or (B, T, C, H, W). Result: the outputs, as x, and the last of them,
  ///         (B, C, H, W).
  std::tuple<torch::Tensor, torch::Tensor> forward(const torch::Tensor& x, torch::Tensor h) {
    if (!h.defined()) h = torch::zeros_like(x.dim() == 5 ? x.select(1, 0) : x);
    if (x.dim() == 4) {
      h = step(x, h);
      return {h, h};
    }
    std::vector<torch::Tensor> outputs;
    for (const torch::Tensor& frame : x.unbind(1)) outputs.push_back(h = step(frame, h));
    return {torch::stack(outputs, 1), h};
  }

  std::int64_t channels() const { return channels_; }

  torch::nn::Sequential ih{nullptr};  ///< Reset and update gate, from input and state.
  torch::nn::Sequential hh{nullptr};  ///< The candidate, from input and gated state.

 private:
  std::int64_t channels_;
};

TORCH_MODULE(ConvGru);

}  // namespace mnv3::heads
