// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/dtype.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/formats/tensor_values.hpp>

namespace mnv3::weights {

/// A number of IEEE 754's binary16, which float has, too.
struct Half {
  std::uint16_t bits;

  explicit operator float() const {
    const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31;
    const std::uint32_t exponent = bits >> 10 & 0x1f;
    const std::uint32_t fraction = bits & 0x3ff;
    constexpr std::uint32_t infinite = 0x1f, bias = 127 - 15;
    if (exponent == 0) {  // subnormal: so many times 2^-24
      const float size = static_cast<float>(fraction) * 0x1p-24F;
      return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(size));
    }
    const std::uint32_t wide = exponent == infinite ? 0xff : exponent + bias;
    return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
  }
};

/// The upper half of a float.
struct BFloat16 {
  std::uint16_t bits;

  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// Where the elements of a tensor stand: sizes and strides, outermost first, without dimensions of
/// one element, and with those as one that stand like one. At least one.
struct Layout {
  explicit Layout(const TensorEntry& entry) {
    for (std::size_t d = 0; d < entry.shape.size(); ++d) {
      const std::int64_t size = entry.shape[d], stride = entry.strides[d];
      if (size == 1) continue;
      if (!sizes.empty() && strides.back() == size * stride) {
        sizes.back() *= size;
        strides.back() = stride;
      } else {
        sizes.push_back(size);
        strides.push_back(stride);
      }
    }
    if (sizes.empty()) {
      sizes.push_back(1);
      strides.push_back(1);
    }
  }

  bool is_dense() const { return sizes.size() == 1 && strides[0] == 1; }

  std::vector<std::int64_t> sizes, strides;
};

/// Copies elements in the order of their dimensions, and returns where the next would go.
template <class From, class To>
To* copy_in_order(const unsigned char* from, std::span<const std::int64_t> sizes,
                  std::span<const std::int64_t> strides, To* to) {
  using Exact = std::conditional_t<std::is_floating_point_v<From>, From, float>;
  const std::ptrdiff_t step = strides[0] * static_cast<std::ptrdiff_t>(sizeof(From));
  for (std::int64_t i = 0; i < sizes[0]; ++i, from += step) {
    if (sizes.size() > 1) {
      to = copy_in_order<From>(from, sizes.subspan(1), strides.subspan(1), to);
      continue;
    }
    From value;
    std::memcpy(&value, from, sizeof value);
    *to++ = static_cast<To>(static_cast<Exact>(value));
  }
  return to;
}

/// The values of a tensor of any floating-point type, converted, in the order of its dimensions.
/// Beside them no more is held than the bytes that the tensor spans, and those only where they are
/// not the values already.
///
/// Errors  WeightsError, without the file's name, also where the tensor is of another type, or where
///         its elements are the same few over and over, of which any number would fit in a file.
template <class To>
std::vector<To> real_values(const TensorValues& reader, const Checkpoint& checkpoint,
                            const TensorEntry& entry) {
  const auto fail = [&](std::string_view what) {
    throw WeightsError(text("tensor '", printable(entry.name), "' ", what));
  };
  const std::size_t bytes = reader.span_bytes(entry);
  const DtypeRow& row = row_of(entry.dtype);
  const bool is_real = entry.dtype == Dtype::float32 || entry.dtype == Dtype::float64 ||
                       entry.dtype == Dtype::float16 || entry.dtype == Dtype::bfloat16;
  if (!is_real)
    fail(text("is ", row.name,
              ", but only float32, float64, float16 and bfloat16 can be read here. Save it as one "
              "of these: tensor.float()"));
  if (bytes == 0) return {};
  const std::uint64_t elements = element_count(entry);
  const std::uint64_t dense = elements * static_cast<std::uint64_t>(row.bytes);
  if (dense > limits::repeated_bytes &&
      (dense - limits::repeated_bytes) / limits::overlap > checkpoint.storages[entry.storage].bytes)
    fail("repeats its values many times over. Save it dense: tensor.contiguous()");

  std::vector<To> values(static_cast<std::size_t>(elements));
  const Layout layout(entry);
  constexpr Dtype same = std::is_same_v<To, float> ? Dtype::float32 : Dtype::float64;
  if (entry.dtype == same && layout.is_dense()) {
    reader.copy(entry, values.data(), bytes);
    return values;
  }
  const auto raw = std::make_unique_for_overwrite<unsigned char[]>(bytes);
  reader.copy(entry, raw.get(), bytes);
  const auto convert = [&]<class From>(From) {
    copy_in_order<From>(raw.get(), layout.sizes, layout.strides, values.data());
  };
  switch (entry.dtype) {
    case Dtype::float32:
      convert(float{});
      break;
    case Dtype::float64:
      convert(double{});
      break;
    case Dtype::float16:
      convert(Half{});
      break;
    default:
      convert(BFloat16{});
  }
  return values;
}

}  // namespace mnv3::weights
