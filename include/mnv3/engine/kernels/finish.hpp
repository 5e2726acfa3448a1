// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/activation.hpp>
#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/layers.hpp>

namespace mnv3::engine {

/// What happens to a sum before it is stored.
enum class Finish { linear, relu, relu6, hardswish, silu, hardsigmoid, hardsigmoid_slope_0_2 };

constexpr Finish finish_of(Activation activation) {
  switch (activation) {
    case Activation::RE:
      return Finish::relu;
    case Activation::HS:
      return Finish::hardswish;
    case Activation::RE6:
      return Finish::relu6;
    case Activation::SiLU:
      return Finish::silu;
    case Activation::none:
      return Finish::linear;
  }
  return Finish::linear;
}
/// A sigmoid is applied to what is stored.
constexpr Finish gate_finish(Gate gate) {
  switch (gate) {
    case Gate::hardsigmoid:
      return Finish::hardsigmoid;
    case Gate::hardsigmoid_slope_0_2:
      return Finish::hardsigmoid_slope_0_2;
    case Gate::sigmoid:
      return Finish::linear;
  }
  return Finish::linear;
}

/// Some of the finishes, one bit for each: those that a network has. What it has not is not
/// compiled.
using FinishSet = unsigned;

constexpr FinishSet only(Finish finish) { return 1U << static_cast<unsigned>(finish); }
constexpr bool contains(FinishSet set, Finish finish) { return (set & only(finish)) != 0; }

constexpr FinishSet finishes_of(const Definition& net) {
  FinishSet set = only(Finish::linear) | only(gate_finish(net.settings.squeeze.gate));
  for_each_layer(net, [&](const Layer& layer) { set |= only(finish_of(layer.conv.activation)); });
  for (const InvertedResidualConfig& row : net.blocks)
    if (row.use_se) set |= only(finish_of(squeeze_activation(row, net.settings.squeeze)));
  return set;
}

}  // namespace mnv3::engine
