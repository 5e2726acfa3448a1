// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/activation.hpp>
#include <mnv3/config/conventions.hpp>

namespace mnv3::kernels {

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

}  // namespace mnv3::kernels
