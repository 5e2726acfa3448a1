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
/// What the row does not have is not asked for.
///
/// Source  torchvision 0.14.1 models/mobilenetv3.py L66-114.
template <class Steps, class Value>
constexpr auto flow_after_expansion(const InvertedResidualConfig& row, Steps&& steps,
                                    const Value& expanded, const Value& input) {
  auto y = steps.depthwise(expanded);
  if (row.use_se) y = steps.squeeze(std::move(y));
  return steps.project(std::move(y), has_residual(row) ? &input : nullptr);
}

}  // namespace mnv3
