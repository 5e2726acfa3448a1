// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/flow.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/deploy/fold.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/convolve.hpp>
#include <mnv3/nn/gate.hpp>
#include <mnv3/nn/input.hpp>
#include <mnv3/nn/pool.hpp>

namespace mnv3::deployment {

/// The layout in which LibTorch runs such a network best, whatever the layout of the pictures.
///
/// Large and Small at 224 x 224, the RVM encoder at 288 x 512, on an x86 CPU with LibTorch 1.13:
/// channels_last takes 0.45 to 0.75 of NCHW's time in float32 and 0.4 to 0.7 in bfloat16,
/// converting included, but twice its time in double, which oneDNN does not run and cuDNN only as
/// NCHW. Group norm takes the same time in both, and is ten to twenty times less exact in
/// channels_last, where LibTorch subtracts the squared mean from the mean square.
inline torch::MemoryFormat best_layout(Norm norm, torch::Dtype dtype) {
  return norm == Norm::group || dtype == torch::kDouble ? torch::MemoryFormat::Contiguous
                                                        : torch::MemoryFormat::ChannelsLast;
}

/// A layer as LibTorch's operators take it.
struct PlacedLayer {
  Layer layer;
  torch::Tensor weight{}, bias{};
  torch::Tensor excite_weight{}, excite_bias{};  ///< Only of squeeze-and-excitation.
  torch::Tensor group_weight{}, group_bias{};    ///< Only of group norm.
};

/// `layers` of this type and on this device, convolutions in the best layout.
///
/// Errors  c10::Error if they are not those of `net` up to `reach`.
inline std::vector<PlacedLayer> place_layers(const Definition& net, int reach,
                                             const std::vector<FoldedLayer>& layers,
                                             torch::Dtype dtype, torch::Device device) {
  const torch::NoGradGuard no_grad;
  const auto options = torch::TensorOptions(dtype).device(device);
  const auto layout = best_layout(net.settings.norm, dtype);
  const auto placed = [&](const torch::Tensor& x) {
    // Not by `contiguous`, which leaves 1x1 and depthwise weights alone: see memory_format.hpp.
    const auto format = x.dim() == 4 ? layout : torch::MemoryFormat::Contiguous;
    return torch::empty_like(x, options, format).copy_(x);
  };
  std::vector<PlacedLayer> result;
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.position > reach) return;
    const std::size_t i = result.size();
    TORCH_CHECK(i < layers.size() && is_same(layers[i].layer, layer),
                "mnv3: the folded layers lack ", names_of(net, layer).first.view());
    const FoldedLayer& from = layers[i];
    PlacedLayer& to = result.emplace_back(PlacedLayer{.layer = layer});
    to.weight = placed(from.product.scaled_weight());
    to.bias = placed(from.product.bias());
    if (from.group_weight.defined()) {
      to.group_weight = placed(from.group_weight);
      to.group_bias = placed(from.group_bias);
    }
    if (!from.excite.defined()) return;
    to.excite_weight = placed(from.excite.scaled_weight());
    to.excite_bias = placed(from.excite.bias());
  });
  TORCH_CHECK(result.size() == layers.size(), "mnv3: ", layers.size() - result.size(),
              " folded layers are after the network's last one");
  return result;
}

/// Shapes  x: (N, in_channels, H, W). Result: (N, out_channels, H/stride, W/stride), a new tensor.
inline torch::Tensor convolve(const PlacedLayer& folded, const torch::Tensor& x,
                              const Settings& settings) {
  const Conv2dNormActivationConfig& c = folded.layer.conv;
  torch::Tensor y = nn::convolve(c, x, folded.weight, folded.bias);
  if (folded.group_weight.defined())
    y = torch::group_norm(y, settings.norm_groups, folded.group_weight, folded.group_bias,
                          norm_eps_of(settings));
  return nn::apply_in_place(c.activation, std::move(y));
}

/// Squeeze-and-excitation of a block.
///
/// Shapes  x: (N, C, H, W); it is written.
inline void excite(const PlacedLayer& folded, Activation activation, Gate gate, torch::Tensor& x) {
  torch::Tensor scale = x.mean({2, 3});                      // (N, C)
  scale = torch::linear(scale, folded.weight, folded.bias);  // (N, S)
  scale = nn::apply_in_place(activation, std::move(scale));
  scale = torch::linear(scale, folded.excite_weight, folded.excite_bias);  // (N, C)
  scale = nn::apply_gate_in_place(gate, std::move(scale));
  x.mul_(scale.unsqueeze(2).unsqueeze(3));
}

/// The steps of a block after its expansion, on the layers from `next` on.
struct FoldedSteps {
  const Settings& settings;
  Activation squeeze_activation;
  const PlacedLayer*& next;

  torch::Tensor depthwise(const torch::Tensor& expanded) {
    return convolve(*next++, expanded, settings);  // (N, expanded_channels, H/s, W/s)
  }
  torch::Tensor squeeze(torch::Tensor y) {
    excite(*next++, squeeze_activation, settings.squeeze.gate, y);
    return y;
  }
  torch::Tensor project(const torch::Tensor& y, const torch::Tensor* residual) {
    torch::Tensor out = convolve(*next++, y, settings);  // (N, out_channels, H/s, W/s)
    return residual ? out.add_(*residual) : out;
  }
};

/// A network on LibTorch's own operators, from folded layers: for what our kernels do not run.
///
/// It has no state: any number of threads may call one object at once.
template <architecture Arch, class Taps>
class FoldedNetwork {
 public:
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr auto tap_info = tap_info_of<Arch, Taps>();
  static constexpr int reach = tap_info.back().position;

  using Outputs = std::array<torch::Tensor, tap_info.size()>;

  /// Copies `layers`, which `fold` made for this network, to `device` as `dtype`.
  ///
  /// Errors  c10::Error if they are not this network's.
  FoldedNetwork(const std::vector<FoldedLayer>& layers, torch::Dtype dtype, torch::Device device)
      : layout_(best_layout(net.settings.norm, dtype)),
        layers_(place_layers(net, reach, layers, dtype, device)) {
    if constexpr (net.settings.input.normalized_inside()) {
      const auto options = torch::TensorOptions(dtype).device(device);
      mean_ = nn::per_channel(net.settings.input.mean, options);
      std_ = nn::per_channel(net.settings.input.std, options);
    }
  }

  /// Runs the network up to the last tap and returns what is tapped, in the order of the taps.
  ///
  /// Shapes  pictures: (N, C, H, W) of the network's dtype and on its device, any strides; N may be
  ///         0. Outputs as those of the module, in the layout of the input.
  /// Grad    None, and none is asked for: outputs are plain tensors, not inference tensors, so that
  ///         heads can be trained on them. They are never written again.
  Outputs operator()(const torch::Tensor& pictures) const {
    const torch::NoGradGuard no_grad;
    torch::Tensor x = pictures;  // (N, C, H, W)
    if constexpr (net.settings.input.normalized_inside()) x = (x - mean_).div_(std_);
    x = x.contiguous(layout_);
    Walk walk{.next = layers_.data(), .format = pictures.suggest_memory_format(), .outputs = {}};
    for (int i = 0; i < features_up_to(net, reach); ++i) x = walk.feature(i, x);
    if constexpr (reach >= position_of_pooled(net)) x = walk.pooled(x);  // (N, C)
    if constexpr (net.settings.hidden_layer && reach >= position_of_embedding(net))
      x = walk.embedding(x);                                         // (N, last_channel)
    if constexpr (reach == position_of_logits(net)) walk.logits(x);  // (N, num_classes)
    return std::move(walk.outputs);
  }

 private:
  /// One call's way through the layers.
  struct Walk {
    const PlacedLayer* next;
    torch::MemoryFormat format;
    Outputs outputs;

    torch::Tensor feature(int i, const torch::Tensor& x) {
      torch::Tensor y;
      if (is_block(net, i)) {
        const InvertedResidualConfig& row = row_of(net, i);
        y = has_expansion(row) ? convolve(*next++, x, net.settings) : x;
        tap(position_of_expansion(i), y);
        if (reach > position_of_expansion(i))
          y = flow_after_expansion(
              row,
              FoldedSteps{.settings = net.settings,
                          .squeeze_activation = squeeze_activation(row, net.settings.squeeze),
                          .next = next},
              y, x);
      } else {
        y = convolve(*next++, x, net.settings);
      }
      tap(position_after(i), y);
      return y;
    }

    torch::Tensor pooled(const torch::Tensor& x) {
      const torch::Tensor y = nn::pool(net.settings.pooling, x);
      tap(position_of_pooled(net), y);
      return y;
    }

    torch::Tensor embedding(const torch::Tensor& x) {
      torch::Tensor y = torch::linear(x, next->weight, next->bias);
      ++next;
      y = nn::apply_in_place(net.settings.activation, std::move(y));
      tap(position_of_embedding(net), y);
      return y;
    }

    void logits(const torch::Tensor& x) {
      tap(position_of_logits(net), torch::linear(x, next->weight, next->bias));
    }

    void tap(int position, const torch::Tensor& x) {
      if (const int i = tap_index(tap_info, position); i >= 0)
        outputs[static_cast<std::size_t>(i)] = x.dim() == 4 ? x.contiguous(format) : x;
    }
  };

  torch::MemoryFormat layout_;
  std::vector<PlacedLayer> layers_;
  torch::Tensor mean_, std_;  // (C, 1, 1); undefined where the caller normalises
};

}  // namespace mnv3::deployment
