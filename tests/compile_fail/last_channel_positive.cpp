// SPDX-License-Identifier: MIT
// A classifier without a hidden layer.
// expect: mnv3: \[last_channel_positive\]
// expect: architecture_error<Broken, mnv3::config::got<-64>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.last_channel = 64};
#else
  static constexpr mnv3::Settings settings{.last_channel = -64};
#endif
};
static_assert(mnv3::verify<Broken>());
