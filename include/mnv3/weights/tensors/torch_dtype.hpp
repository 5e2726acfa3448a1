// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include <c10/core/ScalarType.h>

#include <mnv3/weights/formats/dtype.hpp>

namespace mnv3::weights {

/// In the order of `Dtype`.
inline constexpr std::array<at::ScalarType, dtypes.size()> scalar_types{
    at::ScalarType::Float, at::ScalarType::Double, at::ScalarType::Half,  at::ScalarType::BFloat16,
    at::ScalarType::Long,  at::ScalarType::Int,    at::ScalarType::Short, at::ScalarType::Char,
    at::ScalarType::Byte,  at::ScalarType::Bool};

/// LibTorch's name for it.
constexpr at::ScalarType scalar_type_of(Dtype dtype) {
  return scalar_types[static_cast<std::size_t>(dtype)];
}

/// Its row in the table of dtypes, or null if files cannot have it here.
inline const DtypeRow* row_of(at::ScalarType type) {
  const auto* const found = std::find(scalar_types.begin(), scalar_types.end(), type);
  return found == scalar_types.end()
             ? nullptr
             : &dtypes[static_cast<std::size_t>(found - scalar_types.begin())];
}

}  // namespace mnv3::weights
