// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/weights/state_dict.hpp>

namespace mnv3::deployment {

/// A product and what makes an output of its sums: (start + sum) * scale + shift. Of a convolution
/// `start` is the negated mean of its batch norm.
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

/// Finds a network's tensors by name and copies them into one form: double, CPU, contiguous.
class TensorLookup {
 public:
  explicit TensorLookup(const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) by_name_.emplace(name, tensor);
  }

  /// Errors  c10::Error if there is no such tensor or if it has another shape or an integer type.
  torch::Tensor copy(const Name& name, at::IntArrayRef shape) const {
    const torch::Tensor& tensor = at(name);
    TORCH_CHECK(tensor.sizes() == shape && tensor.is_floating_point(), "mnv3: folding needs ",
                name.view(), " as floating point of shape ", shape, ", but was given ",
                tensor.scalar_type(), " of shape ", tensor.sizes());
    return tensor.to(tensor.options().device(torch::kCPU).dtype(torch::kDouble),
                     /*non_blocking=*/false, /*copy=*/true, torch::MemoryFormat::Contiguous);
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

/// Adds what follows the sums of a convolution to `folded`.
inline void fold_norm(const Definition& net, const Layer& layer, const TensorLookup& tensors,
                      FoldedLayer& folded) {
  const std::int64_t out = layer.conv.out_channels;
  const Name name = names_of(net, layer).second;
  const auto copy = [&](std::string_view suffix) { return tensors.copy(name + suffix, {out}); };
  FoldedProduct& product = folded.product;
  product.start = product.shift = torch::zeros({out}, torch::kDouble);
  product.scale = torch::ones({out}, torch::kDouble);
  switch (net.settings.norm) {
    case Norm::batch:
    case Norm::frozen_batch:
      product.start = -copy(".running_mean");
      product.scale = copy(".weight") / (copy(".running_var") + norm_eps_of(net.settings)).sqrt();
      product.shift = copy(".bias");
      return;
    case Norm::group:
      folded.group_weight = copy(".weight");
      folded.group_bias = copy(".bias");
      return;
    case Norm::none:
      return;
  }
}

inline FoldedLayer fold_layer(const Definition& net, const Layer& layer,
                              const TensorLookup& tensors) {
  const Conv2dNormActivationConfig& c = layer.conv;
  const std::int64_t in = c.in_channels;
  const std::int64_t out = c.out_channels;
  const LayerNames names = names_of(net, layer);
  const auto with_bias = [](const torch::Tensor& weight, const torch::Tensor& bias) {
    return FoldedProduct{weight, bias, torch::ones_like(bias), torch::zeros_like(bias)};
  };
  FoldedLayer folded{.layer = layer};
  switch (layer.kind) {
    case Layer::Kind::conv_norm_activation:
      folded.product.weight =
          tensors.copy(names.first + ".weight", {out, in / c.groups, c.kernel, c.kernel});
      fold_norm(net, layer, tensors, folded);
      break;
    case Layer::Kind::squeeze_excitation:
      folded.product =
          with_bias(tensors.copy(names.first + ".weight", {out, in, 1, 1}).view({out, in}),
                    tensors.copy(names.first + ".bias", {out}));
      folded.excite =
          with_bias(tensors.copy(names.second + ".weight", {in, out, 1, 1}).view({in, out}),
                    tensors.copy(names.second + ".bias", {in}));
      break;
    case Layer::Kind::linear:
      folded.product = with_bias(tensors.copy(names.first + ".weight", {out, in}),
                                 layer.has_bias ? tensors.copy(names.first + ".bias", {out})
                                                : torch::zeros({out}, torch::kDouble));
      break;
  }
  return folded;
}

/// Every layer of `net` up to `reach` (see `position_after`), in running order, computed in double.
///
/// The tensors of the result are double, on the CPU, contiguous and copies. The normalisation of
/// the input is not folded into the stem: the zeros around its input are zeros of the normalised
/// picture, which no bias can imitate. It is left to whoever runs the layers.
///
/// Shapes  tensors: named and shaped as in the state dict, of any floating-point type, on any
///         device; there may be more of them.
/// Errors  c10::Error if one is missing or has another shape or an integer type; it names it.
inline std::vector<FoldedLayer> fold(const Definition& net, int reach,
                                     const NamedTensors& tensors) {
  const torch::NoGradGuard no_grad;
  const TensorLookup lookup(tensors);
  std::vector<FoldedLayer> layers;
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.position <= reach) layers.push_back(fold_layer(net, layer, lookup));
  });
  return layers;
}

}  // namespace mnv3::deployment
