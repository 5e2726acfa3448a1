// SPDX-License-Identifier: MIT
// Settings that every object would have for itself.
// expect: mnv3: \[members_are_static\] .*`static constexpr`
// expect: architecture_error<Broken ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.num_classes = 10};
#else
  mnv3::Settings settings{.num_classes = 10};
#endif
};
static_assert(mnv3::verify<Broken>());
