// SPDX-License-Identifier: MIT
// Batch norm that may divide by 0.
// expect: mnv3: \[eps_positive\]
// expect: architecture_error<Broken, mnv3::config::got<0>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.norm_eps = 1e-5};
#else
  static constexpr mnv3::Settings settings{.norm_eps = 0};
#endif
};
static_assert(mnv3::verify<Broken>());
