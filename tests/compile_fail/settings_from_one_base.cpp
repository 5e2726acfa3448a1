// SPDX-License-Identifier: MIT
// Two bases with settings, of which neither comes first.
// expect: mnv3: \[settings_from_one_base\]
// expect: architecture_error<Broken ?>
#include <mnv3/config.hpp>

struct Conventions {
  static constexpr mnv3::Settings settings{.norm_eps = 1e-5};
};
#ifdef MNV3_FIXED
struct Broken : mnv3::LargeArch, Conventions {};
#else
struct Broken : mnv3::SmallArch, Conventions {};
#endif
static_assert(mnv3::verify<Broken>());
