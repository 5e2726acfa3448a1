// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <mnv3/weights/error.hpp>

namespace mnv3 {

/// A tensor in a `.pth` file: what it is, and where in the file its values are.
struct TensorEntry {
  std::string name;
  at::ScalarType dtype = at::ScalarType::Undefined;
  std::vector<std::int64_t> shape{};
  std::vector<std::int64_t> strides{};  ///< In elements, like `offset`.
  std::int64_t offset = 0;              ///< Of its first element in the storage.
  std::string storage{};           ///< The record that several tensors may share: `data/<storage>`.
  std::int64_t storage_bytes = 0;  ///< What the pickle says; checked against the record.
};

namespace detail {

/// A dtype that `.pth` files can have here, and its names in Python.
struct PthDtype {
  at::ScalarType type;
  std::string_view name;     ///< In module `torch`.
  std::string_view storage;  ///< In module `torch`.
};

inline constexpr std::array<PthDtype, 10> pth_dtypes{{
    {at::ScalarType::Float, "float32", "FloatStorage"},
    {at::ScalarType::Double, "float64", "DoubleStorage"},
    {at::ScalarType::Half, "float16", "HalfStorage"},
    {at::ScalarType::BFloat16, "bfloat16", "BFloat16Storage"},
    {at::ScalarType::Long, "int64", "LongStorage"},
    {at::ScalarType::Int, "int32", "IntStorage"},
    {at::ScalarType::Short, "int16", "ShortStorage"},
    {at::ScalarType::Char, "int8", "CharStorage"},
    {at::ScalarType::Byte, "uint8", "ByteStorage"},
    {at::ScalarType::Bool, "bool", "BoolStorage"},
}};

/// Its row in that table, or null.
inline const PthDtype* pth_dtype_of(at::ScalarType type) {
  for (const PthDtype& dtype : pth_dtypes)
    if (dtype.type == type) return &dtype;
  return nullptr;
}

inline std::int64_t bytes_per_element(at::ScalarType type) {
  return static_cast<std::int64_t>(c10::elementSize(type));
}

/// How many elements of its storage a tensor spans, from its first to its last; 0 if it has none.
///
/// Errors  WeightsError if the numbers do not fit each other or the storage, or are absurd.
inline std::int64_t element_span(const TensorEntry& entry) {
  const auto fail = [&](std::string_view what) {
    throw WeightsError(fmt::format("tensor '{}' {}", entry.name, what));
  };
  constexpr std::size_t max_rank = 64;  // as in LibTorch's TensorIterator
  if (entry.shape.size() != entry.strides.size() || entry.shape.size() > max_rank)
    fail("has an impossible shape");

  const std::int64_t element = bytes_per_element(entry.dtype);
  std::int64_t bytes = element;  // of a dense copy: LibTorch computes it without a check
  std::int64_t last = entry.offset;
  bool is_empty = false;
  bool overflows = entry.offset < 0;
  for (std::size_t i = 0; i < entry.shape.size(); ++i) {
    const std::int64_t size = entry.shape[i];
    const std::int64_t stride = entry.strides[i];
    overflows |= size < 0 || stride < 0;
    if (size <= 0) {
      is_empty = true;
      continue;
    }
    std::int64_t step = 0;
    overflows |= __builtin_mul_overflow(bytes, size, &bytes);
    overflows |= __builtin_mul_overflow(size - 1, stride, &step);
    overflows |= __builtin_add_overflow(last, step, &last);
  }
  if (overflows) fail("has an impossible shape");
  if (is_empty) return 0;
  if (last >= entry.storage_bytes / element) fail("reaches beyond the end of its storage");
  return last - entry.offset + 1;
}

}  // namespace detail

}  // namespace mnv3
