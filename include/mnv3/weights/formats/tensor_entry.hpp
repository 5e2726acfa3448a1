// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/dtype.hpp>

namespace mnv3 {

/// A tensor in a weights file: what it is, and where in the file its values are.
struct TensorEntry {
  std::string name;
  Dtype dtype = Dtype::float32;
  std::vector<std::int64_t> shape{};
  std::vector<std::int64_t> strides{};  ///< In elements, like `offset`.
  std::int64_t offset = 0;              ///< Of its first element in the storage.
  std::size_t storage = 0;              ///< Which one; several tensors may share it.

  /// Why its values cannot be had, such as "it is complex64"; empty if they can. Of such a tensor
  /// only the name counts: its shape is there where the file says it, the rest is not.
  std::string unreadable{};
};

namespace weights {

/// The `storage` of a tensor that has none, or none that is known.
inline constexpr std::size_t no_storage = std::numeric_limits<std::size_t>::max();

/// How many elements of its storage a tensor spans, from its first to its last; 0 if it has none.
///
/// Errors  WeightsError if the numbers do not fit each other or the storage, or are absurd.
inline std::int64_t element_span(const TensorEntry& entry, std::uint64_t storage_bytes) {
  const auto fail = [&](std::string_view what) {
    throw WeightsError(text("tensor '", printable(entry.name), "' ", what));
  };
  if (entry.shape.size() != entry.strides.size() || entry.shape.size() > limits::rank)
    fail("has an impossible shape");

  const std::int64_t element = row_of(entry.dtype).bytes;
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
  if (static_cast<std::uint64_t>(last) >= storage_bytes / static_cast<std::uint64_t>(element))
    fail("reaches beyond the end of its storage");
  return last - entry.offset + 1;
}

/// How many elements the tensor has, after `element_span` has checked that they can be multiplied.
inline std::uint64_t element_count(const TensorEntry& entry) {
  std::uint64_t elements = 1;
  for (const std::int64_t size : entry.shape) elements *= static_cast<std::uint64_t>(size);
  return elements;
}

/// Whether the tensor is spread over so much of its storage that reading it would need far more
/// memory than it has values. `span`: see `element_span`.
inline bool is_spread_out(const TensorEntry& entry, std::int64_t span) {
  const auto element = static_cast<std::uint64_t>(row_of(entry.dtype).bytes);
  const std::uint64_t bytes = static_cast<std::uint64_t>(span) * element;
  return bytes > limits::spread_bytes &&
         (bytes - limits::spread_bytes) / limits::spread > element_count(entry) * element;
}

/// Strides of a tensor without gaps, in the order of its dimensions.
///
/// Errors  none; where they would overflow, they are wrong, as `element_span` will notice.
inline std::vector<std::int64_t> dense_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    if (shape[d] > 1 && __builtin_mul_overflow(stride, shape[d], &stride)) stride = -1;
  }
  return strides;
}

}  // namespace weights

}  // namespace mnv3
