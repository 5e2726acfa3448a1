// SPDX-License-Identifier: MIT
#include <mnv3/config/stride.hpp>

#include <type_traits>

namespace {

using mnv3::Axis;
using mnv3::Stride;

// One number is for both axes; the height comes first, as everywhere.
static_assert(Stride(2).height == 2 && Stride(2).width == 2);
static_assert(Stride{2, 1}.height == 2 && Stride{2, 1}.width == 1);
static_assert(Stride{2, 1}.along(Axis::height) == 2);
static_assert(Stride{2, 1}.along(Axis::width) == 1);
static_assert(Stride(2).is_square() && !Stride{2, 1}.is_square());
static_assert(Stride{} == 0);

// Equal along both axes, or not equal.
static_assert(Stride{2, 2} == 2 && Stride{2, 1} != 2 && Stride{2, 1} != 1);
static_assert(Stride{2, 1} != Stride{1, 2});
static_assert(Stride{2, 1} * Stride{2, 2} == Stride{4, 2});

// Only an int is a stride: a column that holds something else has slipped.
static_assert(std::is_convertible_v<int, Stride>);
static_assert(!std::is_convertible_v<bool, Stride>);
static_assert(!std::is_convertible_v<double, Stride>);

// Part of a template argument.
template <Stride S>
struct Of {};
static_assert(std::is_same_v<Of<2>, Of<Stride{2, 2}>>);
static_assert(!std::is_same_v<Of<2>, Of<Stride{2, 1}>>);

}  // namespace
