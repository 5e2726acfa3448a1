// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include <mnv3/config/block.hpp>

namespace mnv3 {

/// The way of a value through a block after its expansion: said here for the modules, the folded
/// operators and the kernels, whatever a value is to them.
///
/// `steps` has `depthwise(expanded)`, `squeeze(value)` and `project(value, residual)`, where
/// `residual` points to what is to be added to the result, or is null; each returns the next value.
/// Those that the row does not have are never asked for, and need not exist.
///
/// Source  torchvision 0.14.1 models/mobilenetv3.py L66-114.
template <InvertedResidualConfig Row, class Steps, class Value>
constexpr auto flow_after_expansion(Steps&& steps, const Value& expanded, const Value& input) {
  auto y = steps.depthwise(expanded);
  if constexpr (Row.use_se) y = steps.squeeze(std::move(y));
  return steps.project(std::move(y), has_residual(Row) ? &input : nullptr);
}

}  // namespace mnv3
