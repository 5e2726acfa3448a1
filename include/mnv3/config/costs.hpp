// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <stdexcept>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/axis.hpp>
#include <mnv3/config/conv2d_norm_activation.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/taps.hpp>

// What a network costs, without building or running it.

namespace mnv3 {

namespace config::detail {

/// Errors  std::invalid_argument if the table does not describe the blocks.
constexpr void require_blocks_known(const Definition& net) {
  if (net.has_own_block) throw std::invalid_argument(sentence_of(Rule::blocks_known));
}

/// Errors  std::invalid_argument if the blocks are not known or the number of classes is not.
constexpr void require_known(const Definition& net, int reach) {
  require_blocks_known(net);
  if (has_dynamic_classes(net, reach))
    throw std::invalid_argument(sentence_of(Rule::classes_known));
}

}  // namespace config::detail

/// Number of trainable values of the layers up to `reach` (see `position_after`).
///
/// Errors  std::invalid_argument if the blocks are modules of the architecture's own, or if the
///         number of classes would count and is not known, here and in the functions below.
constexpr std::int64_t parameter_count(const Definition& net, int reach) {
  config::detail::require_known(net, reach);
  std::int64_t count = 0;
  for_each_key(net, [&](const Key& key) {
    if (!key.is_buffer && key.position <= reach) count += key.numel();
  });
  return count;
}

/// Multiply-accumulates for one picture of `height` x `width`, of the layers up to `reach`.
///
/// Units  Multiplications by a weight; batch norm, activations, pooling and residuals do not
///         count, as in the paper and in fvcore.
constexpr std::int64_t mac_count(const Definition& net, int reach, std::int64_t height,
                                 std::int64_t width) {
  config::detail::require_known(net, reach);
  std::int64_t count = 0;
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.position > reach) return;
    const Conv2dNormActivationConfig& c = layer.conv;
    const std::int64_t weights = std::int64_t{c.in_channels} * c.out_channels;
    switch (layer.kind) {
      case Layer::Kind::conv_norm_activation:
        height = output_size(c, height, Axis::height);
        width = output_size(c, width, Axis::width);
        count += weights / c.groups * c.kernel * c.kernel * height * width;
        break;
      case Layer::Kind::squeeze_excitation:
        count += 2 * weights;
        break;
      case Layer::Kind::linear:
        count += weights;
        break;
    }
  });
  return count;
}

/// How many input pixels along one axis one pixel of `features.<feature>` sees through its
/// convolutions. Squeeze-and-excitation makes the true dependency global; it is left out here.
constexpr std::int64_t receptive_field(const Definition& net, int feature,
                                       Axis axis = Axis::height) {
  config::detail::require_blocks_known(net);
  std::int64_t field = 1;
  std::int64_t jump = 1;  // input pixels between neighbouring output pixels
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.kind != Layer::Kind::conv_norm_activation || layer.position > position_after(feature))
      return;
    field += jump * layer.conv.dilation * (layer.conv.kernel - 1);
    jump *= layer.conv.stride.along(axis);
  });
  return field;
}

/// `parameter_count` of a network with these taps.
template <architecture Arch, class Taps = taps<>>
constexpr std::int64_t parameter_count() {
  static_assert(verify<Arch>());
  static_assert(verify_blocks_known<Arch>());
  static_assert(verify_taps<Arch, Taps>());
  static_assert(verify_classes_known<Arch, Taps>());
  return parameter_count(definition_of<Arch>, reach_of<Arch, Taps>());
}

/// `mac_count` of a network with these taps.
template <architecture Arch, class Taps = taps<>>
constexpr std::int64_t mac_count(std::int64_t height, std::int64_t width) {
  static_assert(verify<Arch>());
  static_assert(verify_blocks_known<Arch>());
  static_assert(verify_taps<Arch, Taps>());
  static_assert(verify_classes_known<Arch, Taps>());
  return mac_count(definition_of<Arch>, reach_of<Arch, Taps>(), height, width);
}

}  // namespace mnv3
