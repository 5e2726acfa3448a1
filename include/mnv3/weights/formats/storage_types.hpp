// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace mnv3::weights {

/// A class of torch's whose objects are storages.
struct StorageType {
  std::string_view name;  ///< In Python's module `torch`.
  std::int64_t bytes;     ///< Of one element.
  std::string_view dtype;
};

/// All there ever were: in a legacy file one has to know where the next storage begins, whether or
/// not its tensors are ours.
///
/// Source  torch 1.13.1 torch/storage.py `_dtype_to_storage_type_map`; torch 2.6 the same. What
///         came later (fp8, uint16, ...) is in a `torch.storage.UntypedStorage`.
inline constexpr std::array<StorageType, 17> storage_types{{
    {"FloatStorage", 4, "float32"},
    {"DoubleStorage", 8, "float64"},
    {"HalfStorage", 2, "float16"},
    {"BFloat16Storage", 2, "bfloat16"},
    {"LongStorage", 8, "int64"},
    {"IntStorage", 4, "int32"},
    {"ShortStorage", 2, "int16"},
    {"CharStorage", 1, "int8"},
    {"ByteStorage", 1, "uint8"},
    {"BoolStorage", 1, "bool"},
    {"ComplexFloatStorage", 8, "complex64"},
    {"ComplexDoubleStorage", 16, "complex128"},
    {"QInt8Storage", 1, "qint8"},
    {"QUInt8Storage", 1, "quint8"},
    {"QInt32Storage", 4, "qint32"},
    {"QUInt4x2Storage", 1, "quint4x2"},
    {"QUInt2x4Storage", 1, "quint2x4"},
}};

}  // namespace mnv3::weights
