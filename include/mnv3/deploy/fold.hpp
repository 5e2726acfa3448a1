// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/deploy/tensor_source.hpp>
#include <mnv3/engine/fold.hpp>
#include <mnv3/engine/kernels/folded_product.hpp>
#include <mnv3/weights/state_dict.hpp>

// What the engine folds, as tensors: for LibTorch's operators.

namespace mnv3::deployment {

/// A product and what makes an output of its sums: (start + sum) * scale + shift.
struct FoldedProduct {
  torch::Tensor weight{};                   ///< (O, I/groups, K, K) or (O, I).
  torch::Tensor start{}, scale{}, shift{};  ///< (O)

  bool defined() const { return weight.defined(); }
  /// The weight and bias of a convolution or Linear that does the same.
  torch::Tensor scaled_weight() const {
    return weight *
           scale.view(weight.dim() == 4 ? at::IntArrayRef{-1, 1, 1, 1} : at::IntArrayRef{-1, 1});
  }
  torch::Tensor bias() const { return start * scale + shift; }
};

/// A layer ready for inference.
struct FoldedLayer {
  Layer layer;
  FoldedProduct product{};  ///< Of squeeze-and-excitation the squeezing one, (S, C).
  FoldedProduct excite{};   ///< (C, S); undefined in other layers.
  /// What group norm multiplies by and adds, (O): it depends on the picture and cannot be folded.
  torch::Tensor group_weight{}, group_bias{};
};

/// A layer that the engine folded, as tensors: double, on the CPU, contiguous, of their own memory.
inline FoldedLayer as_tensors(const engine::FoldedLayer<double>& folded) {
  const auto vector = [](const std::vector<double>& values) {
    return values.empty() ? torch::Tensor()
                          : torch::tensor(at::ArrayRef<double>(values), torch::kDouble);
  };
  const auto product = [&](const engine::FoldedProduct<double>& from, at::IntArrayRef shape) {
    if (!from.defined()) return FoldedProduct{};
    return FoldedProduct{vector(from.weight).view(shape), vector(from.start), vector(from.scale),
                         vector(from.shift)};
  };
  const Conv2dNormActivationConfig& c = folded.layer.conv;
  const std::int64_t in = c.in_channels;
  const std::int64_t out = c.out_channels;
  const bool is_window = folded.layer.kind == Layer::Kind::conv_norm_activation;
  return {.layer = folded.layer,
          .product = is_window ? product(folded.product, {out, in / c.groups, c.kernel, c.kernel})
                               : product(folded.product, {out, in}),
          .excite = product(folded.excite, {in, out}),
          .group_weight = vector(folded.group_weight),
          .group_bias = vector(folded.group_bias)};
}

/// Every layer of `net` up to `reach` (see `position_after`), in running order, computed in double.
///
/// Errors  Those of `source`.
template <engine::tensor_source Source>
std::vector<FoldedLayer> fold(const Definition& net, int reach, const Source& source) {
  const torch::NoGradGuard no_grad;
  std::vector<FoldedLayer> layers;
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.position <= reach)
      layers.push_back(as_tensors(engine::fold_layer<double>(net, layer, source)));
  });
  return layers;
}

/// The same of tensors that are named and shaped as in the state dict; there may be more of them.
///
/// Errors  c10::Error if one is missing or has another shape or an integer type; it names it.
inline std::vector<FoldedLayer> fold(const Definition& net, int reach,
                                     const NamedTensors& tensors) {
  return fold(net, reach, TensorSource(tensors));
}

}  // namespace mnv3::deployment
