// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mnv3 {

/// The type of a tensor's elements in a weights file.
enum class Dtype : std::uint8_t {
  float32,
  float64,
  float16,
  bfloat16,
  int64,
  int32,
  int16,
  int8,
  uint8,
  boolean,
};

namespace weights {

/// What a dtype is called by those who write files.
struct DtypeRow {
  Dtype dtype;
  std::int64_t bytes;            ///< Of one element.
  std::string_view name;         ///< In Python's module `torch`.
  std::string_view storage;      ///< In Python's module `torch`.
  std::string_view safetensors;  ///< In a safetensors header.
};

inline constexpr std::array<DtypeRow, 10> dtypes{{
    {Dtype::float32, 4, "float32", "FloatStorage", "F32"},
    {Dtype::float64, 8, "float64", "DoubleStorage", "F64"},
    {Dtype::float16, 2, "float16", "HalfStorage", "F16"},
    {Dtype::bfloat16, 2, "bfloat16", "BFloat16Storage", "BF16"},
    {Dtype::int64, 8, "int64", "LongStorage", "I64"},
    {Dtype::int32, 4, "int32", "IntStorage", "I32"},
    {Dtype::int16, 2, "int16", "ShortStorage", "I16"},
    {Dtype::int8, 1, "int8", "CharStorage", "I8"},
    {Dtype::uint8, 1, "uint8", "ByteStorage", "U8"},
    {Dtype::boolean, 1, "bool", "BoolStorage", "BOOL"},
}};

constexpr const DtypeRow& row_of(Dtype dtype) { return dtypes[static_cast<std::size_t>(dtype)]; }

static_assert([] {
  for (std::size_t i = 0; i < dtypes.size(); ++i)
    if (dtypes[i].dtype != Dtype{static_cast<std::uint8_t>(i)}) return false;
  return true;
}());

}  // namespace weights

}  // namespace mnv3
