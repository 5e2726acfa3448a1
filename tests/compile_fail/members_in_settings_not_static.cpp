// SPDX-License-Identifier: MIT
// A setting beside the settings, misspelled and not even static.
// expect: mnv3: \[members_in_settings\] .*`static constexpr mnv3::Settings settings
// expect: architecture_error<Broken, mnv3::config::misplaced::n_classes ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.num_classes = 10};
#else
  int n_classes = 10;
#endif
};
static_assert(mnv3::verify<Broken>());
