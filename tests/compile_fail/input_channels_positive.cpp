// SPDX-License-Identifier: MIT
// A picture without channels.
// expect: mnv3: \[input_channels_positive\]
// expect: architecture_error<Broken, mnv3::config::got<0>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.input{.channels = 1}};
#else
  static constexpr mnv3::Settings settings{.input{.channels = 0}};
#endif
};
static_assert(mnv3::verify<Broken>());
