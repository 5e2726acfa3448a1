// SPDX-License-Identifier: MIT
#pragma once

namespace mnv3::engine {

/// What the kernels ask of a type of registers: `V::lanes` floats in each `V::Register`. Statements,
/// not types, since attributes of vector types get lost in template arguments. Besides, it may have
/// `multiply_add_by_lane<Lane>`, which takes one lane of its first argument for all.
template <class V>
concept register_type = requires(typename V::Register r, const float* from, float* to, float x) {
  requires V::lanes == 4 || V::lanes == 8 || V::lanes == 16;
  r = V::load(from);
  V::store(to, r);
  r = V::broadcast(x);
  r = V::add(r, r);
  r = V::subtract(r, r);
  r = V::multiply(r, r);
  r = V::divide(r, r);
  r = V::multiply_add(r, r, r);  // a * b + c
  r = V::at_least(r, r);         // the second one, or the limit; NaN stays NaN
  r = V::at_most(r, r);
  r = V::round(r);
  r = V::power_of_two(r);
};

/// What the kernels ask of the tiles that a set of instructions keeps in its registers.
template <class T>
concept tile_sizes = T::rows >= 2 && T::columns >= 1 &&
                     T::columns_of_one >= T::columns&& T::depthwise_columns >= 1 &&
                     T::smaller(T::rows) < T::rows&& T::smaller(2) == 1;

}  // namespace mnv3::engine
