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
};

/// Zeros added on each side, so that stride 1 keeps the size.
/// Source  torchvision 0.14.1 ops/misc.py L87.
constexpr int padding_of(const Conv2dNormActivationConfig& c) {
  return (c.kernel - 1) / 2 * c.dilation;
}

/// Output size along one side, for an input of `size` pixels.
constexpr std::int64_t output_size(const Conv2dNormActivationConfig& c, std::int64_t size) {
  return (size + 2 * padding_of(c) - c.dilation * (c.kernel - 1) - 1) / c.stride + 1;
}

/// `features.0`.
constexpr Conv2dNormActivationConfig stem_of(const Definition& net) {
  return {.in_channels = net.settings.input.channels,
          .out_channels = output_channels(net, 0),
          .kernel = 3,
          .stride = 2,
          .activation = Activation::HS};
}

/// The 1x1 convolution that widens a block's input. Only where `has_expansion`.
constexpr Conv2dNormActivationConfig expansion_of(const InvertedResidualConfig& row) {
  return {.in_channels = row.input_channels,
          .out_channels = row.expanded_channels,
          .activation = row.activation};
}

constexpr Conv2dNormActivationConfig depthwise_of(const InvertedResidualConfig& row) {
  return {.in_channels = row.expanded_channels,
          .out_channels = row.expanded_channels,
          .kernel = row.kernel,
          .stride = depthwise_stride(row),
          .dilation = row.dilation,
          .groups = row.expanded_channels,
          .activation = row.activation};
}

/// The linear 1x1 convolution that narrows again.
constexpr Conv2dNormActivationConfig projection_of(const InvertedResidualConfig& row) {
  return {.in_channels = row.expanded_channels, .out_channels = row.out_channels};
}

/// The last child of `features`.
constexpr Conv2dNormActivationConfig closing_of(const Definition& net) {
  return {.in_channels = net.blocks.back().out_channels,
          .out_channels = output_channels(net, feature_count(net) - 1),
          .activation = Activation::HS};
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
  Kind kind;
  int position;
  Name name;  ///< Prefix of its names in the state dict: "features.4.block.2".
  Conv2dNormActivationConfig conv;
};

/// Calls `visit(const Layer&)` for every layer of the whole network, in running order, which is
/// also the order of the state dict.
template <class Visit>
constexpr void for_each_layer(const Definition& net, Visit visit) {
  using enum Layer::Kind;
  const int closing = feature_count(net) - 1;
  const Name features = Name{} + "features.";
  visit(Layer{conv_norm_activation, position_after(0), features + 0, stem_of(net)});
  for (int i = 1; i < closing; ++i) {
    const InvertedResidualConfig& row = row_of(net, i);
    const BlockSlots slots = slots_of(row);
    const Name block = features + i + ".block.";
    const int end = position_after(i);
    if (has_expansion(row))
      visit(Layer{conv_norm_activation, position_of_expansion(i), block + slots.expansion,
                  expansion_of(row)});
    visit(Layer{conv_norm_activation, end, block + slots.depthwise, depthwise_of(row)});
    if (row.use_se)
      visit(Layer{squeeze_excitation, end, block + slots.squeeze,
                  {.in_channels = row.expanded_channels, .out_channels = squeeze_channels(row)}});
    visit(Layer{conv_norm_activation, end, block + slots.projection, projection_of(row)});
  }
  visit(Layer{conv_norm_activation, position_after(closing), features + closing, closing_of(net)});
  // 1 and 2 are the activation and the dropout, which have no parameters.
  const int hidden = net.settings.last_channel;
  visit(Layer{linear, position_of_embedding(net), Name{} + "classifier.0",
              {.in_channels = output_channels(net, closing), .out_channels = hidden}});
  visit(Layer{linear, position_of_logits(net), Name{} + "classifier.3",
              {.in_channels = hidden, .out_channels = net.settings.num_classes}});
}

}  // namespace mnv3
