// SPDX-License-Identifier: MIT
// A squeeze to one in nothing.
// expect: mnv3: \[squeeze_ratio_positive\]
// expect: architecture_error<Broken, mnv3::config::got<0>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.squeeze{.ratio = 8}};
#else
  static constexpr mnv3::Settings settings{.squeeze{.ratio = 0}};
#endif
};
static_assert(mnv3::verify<Broken>());
