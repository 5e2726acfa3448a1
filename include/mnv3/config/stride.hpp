// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>

#include <mnv3/config/axis.hpp>

namespace mnv3 {

/// Input pixels for each output pixel, along both axes: `2`, or `{2, 1}` for a network that halves
/// the height and keeps the width, as text recognisers do. Structural, as rows have to be.
struct Stride {
  int height = 0;
  int width = 0;

  constexpr Stride() = default;  // of a row that does not say: refused like any other 0
  constexpr Stride(int of_height, int of_width) : height(of_height), width(of_width) {}
  /// The same along both axes. Only an `int` will do: a column of a table that holds something else
  /// has slipped.
  template <std::same_as<int> Int>
  constexpr Stride(Int of_both) : Stride(of_both, of_both) {}

  constexpr int along(Axis axis) const { return axis == Axis::height ? height : width; }
  constexpr bool is_square() const { return height == width; }

  friend constexpr Stride operator*(const Stride& a, const Stride& b) {
    return {a.height * b.height, a.width * b.width};
  }
  friend constexpr bool operator==(const Stride&, const Stride&) = default;
};

}  // namespace mnv3
