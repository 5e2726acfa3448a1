// SPDX-License-Identifier: MIT
// A deviation below 0. In thousandths: an int is what all compilers can print.
// expect: mnv3: \[std_positive\]
// expect: architecture_error<Broken, mnv3::config::got<-250>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.input{.channels = 1, .mean = {0.5}, .std = {0.25}}};
#else
  static constexpr mnv3::Settings settings{.input{.channels = 1, .mean = {0.5}, .std = {-0.25}}};
#endif
};
static_assert(mnv3::verify<Broken>());
