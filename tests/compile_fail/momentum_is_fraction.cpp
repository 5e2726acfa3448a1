// SPDX-License-Identifier: MIT
// More than the whole of a new batch.
// expect: mnv3: \[momentum_is_fraction\]
// expect: architecture_error<Broken, mnv3::config::got<1010>, mnv3::config::expected<1000> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.norm_momentum = 0.01};
#else
  static constexpr mnv3::Settings settings{.norm_momentum = 1.01};
#endif
};
static_assert(mnv3::verify<Broken>());
