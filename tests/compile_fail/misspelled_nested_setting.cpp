// SPDX-License-Identifier: MIT
// A setting of a group that there is not.
// expect: means['’]
// errors: 1
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.input{.channels = 1, .mean = {0.5}, .std = {0.5}}};
#else
  static constexpr mnv3::Settings settings{.input{.channels = 1, .means = {0.5}, .std = {0.5}}};
#endif
};
static_assert(mnv3::verify<Broken>());
