// SPDX-License-Identifier: MIT
// A setting that there is not. The compiler itself says so, and nothing of ours adds to it.
// expect: num_class['’]
// errors: 1
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.num_classes = 10};
#else
  static constexpr mnv3::Settings settings{.num_class = 10};
#endif
};
static_assert(mnv3::verify<Broken>());
