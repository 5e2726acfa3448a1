// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/input.hpp>

namespace mnv3 {

/// Any struct with a static table `blocks` is an architecture. Every member of `Settings` may be
/// given as a static member of the same name; what is not given has torchvision's default.
template <class Arch>
concept architecture = requires {
  {std::span<const InvertedResidualConfig>(Arch::blocks)};
};

/// What an architecture says besides its table.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L118-137, L154, L250.
struct Settings {
  Input input{};
  int num_classes = 1000;
  int last_channel = 1280;  ///< Width of the classifier's hidden layer.
  double dropout = 0.2;     ///< Probability, before the last Linear.
  double batch_norm_eps = 1e-3;
  double batch_norm_momentum = 0.01;
  Padding padding = Padding::symmetric;
  Squeeze squeeze{};
  Activation activation = Activation::HS;  ///< Of all that is not a block: stem, closing, hidden.
  int closing_layers = 1;                  ///< 1x1 convolutions behind the last block.
  bool hidden_bias = true;                 ///< Of the classifier's hidden layer.
  Names names = Names::torchvision;        ///< In this architecture's checkpoints.
  /// The stage of each row, from 0 on, which timm's names tell. Empty: one begins with each stride
  /// of 2 and each new number of output channels.
  std::span<const int> stages{};
};

/// An architecture as a value: the same for the compiler, a run-time caller and the tests.
struct Definition {
  std::span<const InvertedResidualConfig> blocks;
  Settings settings{};
};

namespace detail {

template <class Arch>
constexpr Settings settings_of() {  // braces refuse a double where an int belongs
  Settings s;
  if constexpr (requires { Arch::input; }) s.input = Arch::input;
  if constexpr (requires { Arch::num_classes; }) s.num_classes = {Arch::num_classes};
  if constexpr (requires { Arch::last_channel; }) s.last_channel = {Arch::last_channel};
  if constexpr (requires { Arch::dropout; }) s.dropout = Arch::dropout;
  if constexpr (requires { Arch::batch_norm_eps; }) s.batch_norm_eps = Arch::batch_norm_eps;
  if constexpr (requires { Arch::batch_norm_momentum; })
    s.batch_norm_momentum = Arch::batch_norm_momentum;
  if constexpr (requires { Arch::padding; }) s.padding = Arch::padding;
  if constexpr (requires { Arch::squeeze; }) s.squeeze = Arch::squeeze;
  if constexpr (requires { Arch::activation; }) s.activation = Arch::activation;
  if constexpr (requires { Arch::closing_layers; }) s.closing_layers = {Arch::closing_layers};
  if constexpr (requires { Arch::hidden_bias; }) s.hidden_bias = {Arch::hidden_bias};
  if constexpr (requires { Arch::names; }) s.names = Arch::names;
  if constexpr (requires { Arch::stages; }) s.stages = Arch::stages;
  return s;
}

}  // namespace detail

/// The table and the settings of `Arch`.
template <architecture Arch>
inline constexpr Definition definition_of{std::span<const InvertedResidualConfig>(Arch::blocks),
                                          detail::settings_of<Arch>()};

/// Number of children of `features`: the stem, one for each row, the closing 1x1 convolutions.
constexpr int feature_count(const Definition& net) {
  return static_cast<int>(net.blocks.size()) + 1 + net.settings.closing_layers;
}

/// Whether `features.<feature>` is a block, not the stem or a closing convolution.
constexpr bool is_block(const Definition& net, int feature) {
  return feature >= 1 && feature <= static_cast<int>(net.blocks.size());
}

/// The row of `features.<feature>`, which must be a block.
constexpr const InvertedResidualConfig& row_of(const Definition& net, int feature) {
  return net.blocks[static_cast<std::size_t>(feature - 1)];
}

/// The stage of `features.<feature>`, which must be a block: what timm's names tell.
constexpr int stage_of(const Definition& net, int feature) {
  if (!net.settings.stages.empty())
    return net.settings.stages[static_cast<std::size_t>(feature - 1)];
  int stage = 0;
  for (int i = 2; i <= feature; ++i)
    stage += row_of(net, i).stride == 2 ||
             row_of(net, i).out_channels != row_of(net, i - 1).out_channels;
  return stage;
}

/// Output stride of `features.<feature>`: input pixels for each output pixel, along one side.
constexpr int output_stride(const Definition& net, int feature) {
  int stride = 2;  // the stem
  for (int i = 1; i <= feature && is_block(net, i); ++i) stride *= depthwise_stride(row_of(net, i));
  return stride;
}

/// Output channels of `features.<feature>`.
constexpr int output_channels(const Definition& net, int feature) {
  if (is_block(net, feature)) return row_of(net, feature).out_channels;
  if (feature == 0) return net.blocks.front().input_channels;
  return 6 * net.blocks.back().out_channels;  // torchvision 0.14.1 models/mobilenetv3.py L177
}

}  // namespace mnv3
