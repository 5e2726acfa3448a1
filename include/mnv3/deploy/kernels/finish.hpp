// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/conventions.hpp>

namespace mnv3::detail {

/// What happens to a sum before it is stored.
enum class Finish { linear, relu, hardswish, hardsigmoid };

constexpr Finish finish_of(std::optional<Activation> activation) {
  if (!activation) return Finish::linear;
  return *activation == Activation::HS ? Finish::hardswish : Finish::relu;
}
/// A sigmoid is applied to what is stored.
constexpr Finish gate_finish(Gate gate) {
  return gate == Gate::sigmoid ? Finish::linear : Finish::hardsigmoid;
}

}  // namespace mnv3::detail
