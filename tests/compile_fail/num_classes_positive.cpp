// SPDX-License-Identifier: MIT
// A classifier without classes.
// expect: mnv3: \[num_classes_positive\]
// expect: architecture_error<Broken, mnv3::config::got<0>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.num_classes = 10};
#else
  static constexpr mnv3::Settings settings{.num_classes = 0};
#endif
};
static_assert(mnv3::verify<Broken>());
