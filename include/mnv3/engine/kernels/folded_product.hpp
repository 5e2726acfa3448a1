// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

namespace mnv3::engine {

/// One product of a layer and what makes an output of its sums: output o is (start + the sum of row
/// o's products) * scale + shift. Of a convolution `start` is the negated mean of its batch norm.
template <class T>
struct FoldedProduct {
  std::vector<T> weight{};  ///< [out][in / groups][kernel][kernel], or [out][in].
  std::vector<double> start{}, scale{}, shift{};  ///< One for each output.

  bool defined() const { return !weight.empty(); }
};

}  // namespace mnv3::engine
