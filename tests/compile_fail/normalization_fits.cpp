// SPDX-License-Identifier: MIT
// Grey pictures, normalised as if they had three channels.
// expect: mnv3: \[normalization_fits\]
// expect: architecture_error<Broken, mnv3::config::got<3>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr int channels = 3;
#else
  static constexpr int channels = 1;
#endif
  static constexpr mnv3::Settings settings{
      .input{.channels = channels, .mean = mnv3::imagenet_mean, .std = mnv3::imagenet_std}};
};
static_assert(mnv3::verify<Broken>());
