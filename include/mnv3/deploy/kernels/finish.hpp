// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/taps.hpp>

namespace mnv3::detail {

/// What happens to a sum before it is stored.
enum class Finish { linear, relu, hardswish, six_hardswish, hardsigmoid };

// Hard-swish divides by six. Where nobody but our own kernels reads the result, the division is left
// to the weights that it meets next, which are packed in double: multiplying by a float sixth would
// scale every such layer by the same 1 + 3e-8, and that adds up.

constexpr Finish exposed_finish(Activation activation) {
  return activation == Activation::HS ? Finish::hardswish : Finish::relu;
}
constexpr Finish inner_finish(Activation activation) {
  return activation == Activation::HS ? Finish::six_hardswish : Finish::relu;
}
/// What the weights that read such a result are multiplied by.
constexpr double scale_after(Finish finish) {
  return finish == Finish::six_hardswish ? 1.0 / 6.0 : 1.0;
}

constexpr Finish finish_at(Activation activation, std::span<const TapInfo> taps, int position) {
  return is_tapped(taps, position) ? exposed_finish(activation) : inner_finish(activation);
}
constexpr Finish expansion_finish(const Definition& net, std::span<const TapInfo> taps,
                                  int feature) {
  return finish_at(row_of(net, feature).activation, taps, position_of_expansion(feature));
}
constexpr Finish depthwise_finish(const InvertedResidualConfig& row) {
  return inner_finish(row.activation);
}
constexpr Finish closing_finish(const Definition& net, std::span<const TapInfo> taps) {
  return finish_at(Activation::HS, taps, position_after(feature_count(net) - 1));
}
constexpr Finish embedding_finish(const Definition& net, std::span<const TapInfo> taps) {
  return finish_at(Activation::HS, taps, position_of_embedding(net));
}

}  // namespace mnv3::detail
