// SPDX-License-Identifier: MIT
// A closing convolution without an output. Not given, it has six times the last block's channels.
// expect: mnv3: \[closing_channels_in_range\]
// expect: architecture_error<Broken, mnv3::config::got<0>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.closing_channels = 256};
#else
  static constexpr mnv3::Settings settings{.closing_channels = 0};
#endif
};
static_assert(mnv3::verify<Broken>());
