// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/engine/kernels/folded_product.hpp>

// Batch norm, a bias, or nothing: what follows the sums of a layer, in one form, in double.
//
// The normalisation of the input is not folded into the stem: the zeros around its input are zeros
// of the normalised picture, which no bias can imitate. It is left to whoever runs the layers.

namespace mnv3::engine {

using Shape = std::initializer_list<std::int64_t>;

/// Where a network's tensors come from: `source.values<T>(name, shape)` gives those of one as
/// `std::vector<T>`, row by row, or throws with the name if there is none, or one of another shape.
template <class Source>
concept tensor_source = requires(const Source& source, const Name& name, Shape shape) {
  std::vector<float>(source.template values<float>(name, shape));
  std::vector<double>(source.template values<double>(name, shape));
};

/// A layer ready for inference.
template <class T>
struct FoldedLayer {
  Layer layer;
  FoldedProduct<T> product{};  ///< Of squeeze-and-excitation the squeezing one, (S, C).
  FoldedProduct<T> excite{};   ///< (C, S); undefined in other layers.
  /// What group norm multiplies by and adds: it depends on the picture and cannot be folded.
  std::vector<double> group_weight{}, group_bias{};
};

/// Adds what follows the sums of a convolution to `folded`.
template <class T, tensor_source Source>
void fold_norm(const Definition& net, const Layer& layer, const Source& source,
               FoldedLayer<T>& folded) {
  const std::int64_t out = layer.conv.out_channels;
  const auto size = static_cast<std::size_t>(out);
  const Name name = names_of(net, layer).second;
  const auto values = [&](std::string_view suffix) {
    return source.template values<double>(name + suffix, {out});
  };
  FoldedProduct<T>& product = folded.product;
  product.start.assign(size, 0.0);
  product.scale.assign(size, 1.0);
  product.shift.assign(size, 0.0);
  switch (net.settings.norm) {
    case Norm::batch:
    case Norm::frozen_batch: {
      const std::vector<double> weight = values(".weight");
      const std::vector<double> mean = values(".running_mean");
      const std::vector<double> variance = values(".running_var");
      const double eps = norm_eps_of(net.settings);
      for (std::size_t o = 0; o < size; ++o) {
        product.start[o] = -mean[o];
        product.scale[o] = weight[o] / std::sqrt(variance[o] + eps);
      }
      product.shift = values(".bias");
      return;
    }
    case Norm::group:
      folded.group_weight = values(".weight");
      folded.group_bias = values(".bias");
      return;
    case Norm::none:
      return;
  }
}

/// One layer of `net`, its weights as `T`.
///
/// Errors  Those of `source`.
template <class T, tensor_source Source>
FoldedLayer<T> fold_layer(const Definition& net, const Layer& layer, const Source& source) {
  const Conv2dNormActivationConfig& c = layer.conv;
  const std::int64_t in = c.in_channels;
  const std::int64_t out = c.out_channels;
  const LayerNames names = names_of(net, layer);
  const auto with_bias = [](std::vector<T> weight, std::vector<double> bias) {
    const std::size_t size = bias.size();
    return FoldedProduct<T>{.weight = std::move(weight),
                            .start = std::move(bias),
                            .scale = std::vector<double>(size, 1.0),
                            .shift = std::vector<double>(size, 0.0)};
  };
  FoldedLayer<T> folded{.layer = layer};
  switch (layer.kind) {
    case Layer::Kind::conv_norm_activation:
      folded.product.weight = source.template values<T>(names.first + ".weight",
                                                        {out, in / c.groups, c.kernel, c.kernel});
      fold_norm(net, layer, source, folded);
      break;
    case Layer::Kind::squeeze_excitation:
      folded.product =
          with_bias(source.template values<T>(names.first + ".weight", {out, in, 1, 1}),
                    source.template values<double>(names.first + ".bias", {out}));
      folded.excite =
          with_bias(source.template values<T>(names.second + ".weight", {in, out, 1, 1}),
                    source.template values<double>(names.second + ".bias", {in}));
      break;
    case Layer::Kind::linear:
      folded.product =
          with_bias(source.template values<T>(names.first + ".weight", {out, in}),
                    layer.has_bias ? source.template values<double>(names.first + ".bias", {out})
                                   : std::vector<double>(static_cast<std::size_t>(out), 0.0));
      break;
  }
  return folded;
}

}  // namespace mnv3::engine
