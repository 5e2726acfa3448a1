// SPDX-License-Identifier: MIT
// Fewer convolutions after the last block than none.
// expect: mnv3: \[closing_layers_in_range\]
// expect: architecture_error<Broken, mnv3::config::got<-1>, mnv3::config::expected<0> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.closing_layers = 0};
#else
  static constexpr mnv3::Settings settings{.closing_layers = -1};
#endif
};
static_assert(mnv3::verify<Broken>());
