// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/channels.hpp>
#include <mnv3/config/conv2d_norm_activation.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/position.hpp>

// The layers that a table stands for, in the order in which they run. Modules, state-dict names and
// costs are all computed from what is here.

namespace mnv3 {

/// `features.0`.
constexpr Conv2dNormActivationConfig stem_of(const Definition& net) {
  return {.in_channels = net.settings.input.channels,
          .out_channels = output_channels(net, 0),
          .kernel = 3,
          .stride = stem_stride,
          .activation = net.settings.activation,
          .padding = net.settings.padding};
}

/// The 1x1 convolution that widens a block's input. Only where `has_expansion`.
constexpr Conv2dNormActivationConfig expansion_of(const InvertedResidualConfig& row) {
  return {.in_channels = row.input_channels,
          .out_channels = row.expanded_channels,
          .activation = row.activation};
}

constexpr Conv2dNormActivationConfig depthwise_of(const InvertedResidualConfig& row,
                                                  const Settings& settings) {
  return {.in_channels = row.expanded_channels,
          .out_channels = row.expanded_channels,
          .kernel = row.kernel,
          .stride = depthwise_stride(row),
          .dilation = row.dilation,
          .groups = row.expanded_channels,
          .activation = row.activation,
          .padding = settings.padding};
}

/// Width of the squeeze-and-excitation bottleneck. The division is an integer one and comes first;
/// timm's is not, which is the same for multiples of the ratio.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L96.
constexpr int squeeze_channels(const InvertedResidualConfig& row, const Squeeze& squeeze = {}) {
  return make_divisible(row.expanded_channels / squeeze.ratio, squeeze.divisor);
}

/// What is between the two convolutions of squeeze-and-excitation.
constexpr Activation squeeze_activation(const InvertedResidualConfig& row, const Squeeze& squeeze) {
  return squeeze.block_activation ? row.activation : Activation::RE;
}

/// The 1x1 convolution that narrows again, linear in MobileNetV3.
constexpr Conv2dNormActivationConfig projection_of(const InvertedResidualConfig& row) {
  return {.in_channels = row.expanded_channels,
          .out_channels = row.out_channels,
          .activation = row.projection_activation};
}

/// `features.<feature>`, one after the last block.
constexpr Conv2dNormActivationConfig closing_of(const Definition& net, int feature) {
  return {.in_channels = output_channels(net, feature - 1),
          .out_channels = output_channels(net, feature),
          .activation = net.settings.activation};
}

/// Positions of the classifier's children, which are also their names. -1: absent.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L190-195; without a hidden layer
///         models/mobilenetv2.py L168-171.
struct ClassifierSlots {
  int hidden = -1;
  int activation = -1;
  int dropout = 0;
  int output = 1;
};

constexpr ClassifierSlots classifier_slots(const Settings& settings) {
  if (settings.hidden_layer) return {.hidden = 0, .activation = 1, .dropout = 2, .output = 3};
  return {};
}

/// One layer with parameters.
struct Layer {
  enum class Kind {
    conv_norm_activation,
    squeeze_excitation,  ///< `conv.in_channels` squeezed to `conv.out_channels` and back.
    linear,              ///< `conv.in_channels` to `conv.out_channels`.
  };
  /// What it is in the network; which one of them, `position` tells.
  enum class Role {
    stem,
    expansion,
    depthwise,
    squeeze,
    projection,
    closing,
    hidden,
    output,
  };
  Kind kind;
  Role role;
  int position;
  Conv2dNormActivationConfig conv;
  bool has_bias = true;  ///< Of a Linear.
};

/// Whether that is the same layer of a network.
constexpr bool is_same(const Layer& a, const Layer& b) {
  return a.role == b.role && a.position == b.position;
}

/// Calls `visit(const Layer&)` for every layer of the whole network, in running order, which is
/// also the order of the state dict.
template <class Visit>
constexpr void for_each_layer(const Definition& net, Visit visit) {
  using enum Layer::Kind;
  using enum Layer::Role;
  const int blocks = static_cast<int>(net.blocks.size());
  const Settings& settings = net.settings;
  visit(Layer{conv_norm_activation, stem, position_after(0), stem_of(net)});
  for (int i = 1; i <= blocks; ++i) {
    const InvertedResidualConfig& row = row_of(net, i);
    const int end = position_after(i);
    if (has_expansion(row))
      visit(Layer{conv_norm_activation, expansion, position_of_expansion(i), expansion_of(row)});
    visit(Layer{conv_norm_activation, depthwise, end, depthwise_of(row, settings)});
    if (row.use_se)
      visit(Layer{squeeze_excitation,
                  squeeze,
                  end,
                  {.in_channels = row.expanded_channels,
                   .out_channels = squeeze_channels(row, settings.squeeze)}});
    visit(Layer{conv_norm_activation, projection, end, projection_of(row)});
  }
  for (int i = blocks + 1; i < feature_count(net); ++i)
    visit(Layer{conv_norm_activation, closing, position_after(i), closing_of(net, i)});
  // The activation and the dropout between the two Linears have no parameters.
  if (settings.hidden_layer)
    visit(Layer{linear,
                hidden,
                position_of_embedding(net),
                {.in_channels = pooled_channels(net),
                 .out_channels = settings.last_channel,
                 .activation = settings.activation},
                settings.hidden_bias});
  visit(Layer{linear,
              output,
              position_of_logits(net),
              {.in_channels = embedding_channels(net), .out_channels = settings.num_classes}});
}

}  // namespace mnv3
