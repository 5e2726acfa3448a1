// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string_view>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/conventions.hpp>

// The layers that a table stands for, in the order in which they run. Modules, state-dict names and
// costs are all computed from what is here.

namespace mnv3 {

/// A convolution without bias, its batch norm and its activation, if any.
struct Conv2dNormActivationConfig {
  int in_channels;
  int out_channels;
  int kernel = 1;
  int stride = 1;
  int dilation = 1;
  int groups = 1;
  std::optional<Activation> activation{};
  Padding padding = Padding::symmetric;
};

/// Zeros on each side of a symmetric convolution, so that stride 1 keeps the size. No convolution
/// has more on any side.
/// Source  torchvision 0.14.1 ops/misc.py L87.
constexpr int padding_of(const Conv2dNormActivationConfig& c) {
  return (c.kernel - 1) / 2 * c.dilation;
}

/// Output size along one side, for an input of `size` pixels, whatever the padding.
constexpr std::int64_t output_size(const Conv2dNormActivationConfig& c, std::int64_t size) {
  return (size + 2 * padding_of(c) - c.dilation * (c.kernel - 1) - 1) / c.stride + 1;
}

/// Zeros along one side of `size` pixels: in front, that is above or on the left, and behind.
struct SidePadding {
  std::int64_t before;
  std::int64_t after;

  friend constexpr bool operator==(const SidePadding&, const SidePadding&) = default;
};

/// Source  TensorFlow nn.convolution, "SAME"; timm 1.0.29 layers/padding.py.
constexpr SidePadding side_padding(const Conv2dNormActivationConfig& c, std::int64_t size) {
  if (c.padding == Padding::symmetric) return {padding_of(c), padding_of(c)};
  const std::int64_t seen =
      (output_size(c, size) - 1) * c.stride + std::int64_t{c.kernel - 1} * c.dilation + 1;
  const std::int64_t total = std::max<std::int64_t>(seen - size, 0);
  return {total / 2, total - total / 2};
}

/// `features.0`.
constexpr Conv2dNormActivationConfig stem_of(const Definition& net) {
  return {.in_channels = net.settings.input.channels,
          .out_channels = output_channels(net, 0),
          .kernel = 3,
          .stride = 2,
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

/// What is between the two convolutions of squeeze-and-excitation.
constexpr Activation squeeze_activation(const InvertedResidualConfig& row, const Squeeze& squeeze) {
  return squeeze.block_activation ? row.activation : Activation::RE;
}

/// The linear 1x1 convolution that narrows again.
constexpr Conv2dNormActivationConfig projection_of(const InvertedResidualConfig& row) {
  return {.in_channels = row.expanded_channels, .out_channels = row.out_channels};
}

/// `features.<feature>`, one behind the last block.
constexpr Conv2dNormActivationConfig closing_of(const Definition& net, int feature) {
  return {.in_channels = output_channels(net, feature - 1),
          .out_channels = output_channels(net, feature),
          .activation = net.settings.activation};
}

// Where in the network something is, as one ascending number: every feature has two places, inside
// (after its expansion) and at its end; the classifier's two Linears follow. A network whose last
// tap is at position p has exactly the layers at positions up to p.

constexpr int position_of_expansion(int feature) { return 2 * feature; }
constexpr int position_after(int feature) { return 2 * feature + 1; }
constexpr int position_of_embedding(const Definition& net) { return 2 * feature_count(net); }
constexpr int position_of_logits(const Definition& net) { return 2 * feature_count(net) + 1; }

/// The feature that a position is in, where it is in any.
constexpr int feature_at(int position) { return position / 2; }
/// Features that a network has whose last tap is at `reach`.
constexpr int features_up_to(const Definition& net, int reach) {
  return std::min(feature_count(net), feature_at(reach) + 1);
}

/// A dotted state-dict name, without allocation.
class Name {
 public:
  constexpr Name& operator+=(std::string_view text) {
    for (const char c : text) {
      if (size_ == text_.size()) throw std::length_error("mnv3: a state-dict name is too long");
      text_[size_++] = c;
    }
    return *this;
  }
  constexpr Name& operator+=(int number) {
    if (number >= 10) *this += number / 10;
    const char digit = static_cast<char>('0' + number % 10);
    return *this += std::string_view(&digit, 1);
  }
  template <class Part>
  friend constexpr Name operator+(Name name, const Part& part) {
    return name += part;
  }
  constexpr std::string_view view() const { return {text_.data(), size_}; }
  constexpr operator std::string_view() const { return view(); }

 private:
  std::array<char, 56> text_{};
  std::size_t size_ = 0;
};

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
  Name name;  ///< Prefix of its names in torchvision's state dict: "features.4.block.2".
  Conv2dNormActivationConfig conv;
  bool has_bias = true;  ///< Of a Linear.
};

/// Calls `visit(const Layer&)` for every layer of the whole network, in running order, which is
/// also the order of the state dict.
template <class Visit>
constexpr void for_each_layer(const Definition& net, Visit visit) {
  using enum Layer::Kind;
  using enum Layer::Role;
  const int blocks = static_cast<int>(net.blocks.size());
  const Name features = Name{} + "features.";
  visit(Layer{conv_norm_activation, stem, position_after(0), features + 0, stem_of(net)});
  for (int i = 1; i <= blocks; ++i) {
    const InvertedResidualConfig& row = row_of(net, i);
    const BlockSlots slots = slots_of(row);
    const Name block = features + i + ".block.";
    const int end = position_after(i);
    if (has_expansion(row))
      visit(Layer{conv_norm_activation, expansion, position_of_expansion(i),
                  block + slots.expansion, expansion_of(row)});
    visit(Layer{conv_norm_activation, depthwise, end, block + slots.depthwise,
                depthwise_of(row, net.settings)});
    if (row.use_se)
      visit(Layer{squeeze_excitation,
                  squeeze,
                  end,
                  block + slots.squeeze,
                  {.in_channels = row.expanded_channels,
                   .out_channels = squeeze_channels(row, net.settings.squeeze.divisor)}});
    visit(
        Layer{conv_norm_activation, projection, end, block + slots.projection, projection_of(row)});
  }
  for (int i = blocks + 1; i < feature_count(net); ++i)
    visit(
        Layer{conv_norm_activation, closing, position_after(i), features + i, closing_of(net, i)});
  // 1 and 2 are the activation and the dropout, which have no parameters.
  const int pooled_channels = output_channels(net, feature_count(net) - 1);
  const int hidden_channels = net.settings.last_channel;
  visit(Layer{linear,
              hidden,
              position_of_embedding(net),
              Name{} + "classifier.0",
              {.in_channels = pooled_channels, .out_channels = hidden_channels},
              net.settings.hidden_bias});
  visit(Layer{linear,
              output,
              position_of_logits(net),
              Name{} + "classifier.3",
              {.in_channels = hidden_channels, .out_channels = net.settings.num_classes}});
}

}  // namespace mnv3
