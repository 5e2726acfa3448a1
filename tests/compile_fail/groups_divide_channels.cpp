// SPDX-License-Identifier: MIT
// More groups than fit the narrow rows.
// expect: mnv3: \[groups_divide_channels\]
// expect: architecture_error<Broken, mnv3::config::at_block<1>, .*got<16>, .*expected<8> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::group};
#else
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::group, .norm_groups = 16};
#endif
};
static_assert(mnv3::verify<Broken>());
