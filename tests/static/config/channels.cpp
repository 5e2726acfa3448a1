// SPDX-License-Identifier: MIT
#include <mnv3/config/channels.hpp>

// The expected numbers are what torchvision 0.14.1's `_make_divisible` returns.

namespace {

using mnv3::make_divisible;

// Multiples stay, others go to the nearest; half way goes up.
static_assert(make_divisible(16) == 16);
static_assert(make_divisible(17) == 16);
static_assert(make_divisible(20) == 24);
static_assert(make_divisible(44) == 48);
static_assert(make_divisible(98) == 96);
static_assert(make_divisible(138) == 136);

// Never below one multiple.
static_assert(make_divisible(4) == 8);
static_assert(make_divisible(1) == 8);
static_assert(make_divisible(0) == 8);
static_assert(make_divisible(-3) == 8);

// Never down by more than 10 %: 0.75 * 24 is 18, and 16 would be too little.
static_assert(make_divisible(18) == 24);
static_assert(make_divisible(0.75 * 24) == 24);

// The sum is truncated, not the operand: 17 would give 16.
static_assert(make_divisible(17.92) == 24);
static_assert(make_divisible(11.99) == 16);
// The sum is not rounded either: 19.99 + 4 is still 23, and only the 10 % bring it to 24.
static_assert(make_divisible(19.99) == 24);
static_assert(make_divisible(89) == 88);
static_assert(make_divisible(90) == 88);

// Products of the tables' counts with widths that are not exact in binary.
static_assert(make_divisible(0.35 * 16) == 8);
static_assert(make_divisible(0.35 * 112) == 40);
static_assert(make_divisible(0.35 * 1280) == 448);
static_assert(make_divisible(0.35 * 40) == 16);

// Other divisors.
static_assert(make_divisible(17.92, 4) == 20);
static_assert(make_divisible(10, 16) == 16);
static_assert(make_divisible(20, 16) == 32);
static_assert(make_divisible(24, 16) == 32);

}  // namespace
