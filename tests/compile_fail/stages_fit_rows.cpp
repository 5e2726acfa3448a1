// SPDX-License-Identifier: MIT
// Stages of another table, which a base class still has.
// expect: mnv3: \[stages_fit_rows\]
// expect: architecture_error<Broken, mnv3::got<11>, mnv3::expected<15> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::WidthMult<mnv3::SmallArch, std::ratio<1, 2>> {
  static constexpr auto blocks = mnv3::LargeArch::blocks;
#ifdef MNV3_FIXED
  static constexpr std::array<int, 0> stages{};
#endif
};
static_assert(mnv3::verify<Broken>());
