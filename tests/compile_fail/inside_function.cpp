// SPDX-License-Identifier: MIT
// An architecture inside a function, where C++ allows no static data members. The compiler itself
// says so, and nothing of ours adds to it.
// expect: static data member
// errors: 1
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
struct Mine : mnv3::SmallArch {
  static constexpr mnv3::Settings settings{.num_classes = 10};
};
#endif

void run() {
#ifndef MNV3_FIXED
  struct Mine : mnv3::SmallArch {
    static constexpr mnv3::Settings settings{.num_classes = 10};
  };
#endif
  static_assert(mnv3::verify<Mine>());
}
