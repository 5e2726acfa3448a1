// SPDX-License-Identifier: MIT
// Stages of another table, which a base class still has.
// expect: mnv3: \[stages_fit_rows\]
// expect: architecture_error<Broken, mnv3::config::got<11>, mnv3::config::expected<15> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::WidthMult<mnv3::SmallArch, std::ratio<1, 2>> {
  static constexpr auto blocks = mnv3::LargeArch::blocks;
#ifdef MNV3_FIXED
  static constexpr std::array stage_of_row{0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5};
  static constexpr mnv3::Settings settings{.stages = stage_of_row};
#endif
};
static_assert(mnv3::verify<Broken>());
