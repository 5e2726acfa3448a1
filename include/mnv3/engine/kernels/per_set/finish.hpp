// SPDX-License-Identifier: MIT
// What a finished sum goes through.

#ifndef MNV3_SET  // as an editor reads it: alone
// clang-format off
#include <mnv3/engine/kernels/per_set/alone.hpp>
// clang-format on
#endif

namespace mnv3::engine::MNV3_SET {

/// e to the power of each lane, which is cut to where the result is a normal number. Its relative
/// error is at most 2e-7.
///
/// Source  Cephes single precision `expf`: the polynomial, and the two parts of log 2.
template <class V>
MNV3_INLINE typename V::Register exponential(typename V::Register x) {
  const auto constant = [&](float value) MNV3_INLINE_LAMBDA { return V::broadcast(value); };
  x = V::at_most(constant(87.0F), V::at_least(constant(-87.0F), x));
  const auto n = V::round(V::multiply(x, constant(1.44269504F)));
  x = V::multiply_add(n, constant(-0.693359375F), x);
  x = V::multiply_add(n, constant(2.12194440e-4F), x);
  auto y = constant(1.9875691500e-4F);
  y = V::multiply_add(y, x, constant(1.3981999507e-3F));
  y = V::multiply_add(y, x, constant(8.3334519073e-3F));
  y = V::multiply_add(y, x, constant(4.1665795894e-2F));
  y = V::multiply_add(y, x, constant(1.6666665459e-1F));
  y = V::multiply_add(y, x, constant(5.0000001201e-1F));
  y = V::multiply_add(y, x, constant(1.0F));
  y = V::multiply_add(y, x, constant(1.0F));
  return V::multiply(y, V::power_of_two(n));
}

/// Calls `use` with the function that a finished sum goes through, one of `Set`.
template <class V, FinishSet Set, class Use>
MNV3_INLINE void with_finish(Finish finish, Use use) {
  using R = typename V::Register;
  const R zero = V::broadcast(0.0F);
  const R half = V::broadcast(0.5F);
  const R one = V::broadcast(1.0F);
  const R six = V::broadcast(6.0F);
  const R sixth = V::broadcast(1.0F / 6.0F);
  const R fifth = V::broadcast(0.2F);
  const auto between = [&](R low, R x, R high)
                           MNV3_INLINE_LAMBDA { return V::at_most(high, V::at_least(low, x)); };
  // Not (x + 3) / 6: where x is above 3 the gate is exactly 1, and what goes through it is not
  // rounded again. Networks whose next convolution takes differences feel that.
  const auto gate = [&](R x, R slope) MNV3_INLINE_LAMBDA {
    return between(zero, V::multiply_add(x, slope, half), one);
  };
  switch (finish) {
    case Finish::linear:
      if constexpr (contains(Set, Finish::linear))
        return use([&](R x) MNV3_INLINE_LAMBDA { return x; });
      return;
    case Finish::relu:
      if constexpr (contains(Set, Finish::relu))
        return use([&](R x) MNV3_INLINE_LAMBDA { return V::at_least(zero, x); });
      return;
    case Finish::relu6:
      if constexpr (contains(Set, Finish::relu6))
        return use([&](R x) MNV3_INLINE_LAMBDA { return between(zero, x, six); });
      return;
    case Finish::hardswish:
      if constexpr (contains(Set, Finish::hardswish))
        return use([&](R x) MNV3_INLINE_LAMBDA { return V::multiply(x, gate(x, sixth)); });
      return;
    case Finish::silu:
      if constexpr (contains(Set, Finish::silu))
        return use([&](R x) MNV3_INLINE_LAMBDA {
          return V::divide(x, V::add(one, exponential<V>(V::subtract(zero, x))));
        });
      return;
    case Finish::hardsigmoid:
      if constexpr (contains(Set, Finish::hardsigmoid))
        return use([&](R x) MNV3_INLINE_LAMBDA { return gate(x, sixth); });
      return;
    case Finish::hardsigmoid_slope_0_2:
      if constexpr (contains(Set, Finish::hardsigmoid_slope_0_2))
        return use([&](R x) MNV3_INLINE_LAMBDA { return gate(x, fifth); });
      return;
  }
}

}  // namespace mnv3::engine::MNV3_SET
