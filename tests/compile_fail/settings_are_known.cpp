// SPDX-License-Identifier: MIT
// Settings that are no constant. The compiler itself says so.
// expect: (was not declared 'constexpr'|must be initialized by a constant expression)
// errors: 1
// rule: settings_are_known
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.num_classes = 10};
#else
  static inline const mnv3::Settings settings{.num_classes = 10};
#endif
};
static_assert(mnv3::verify<Broken>());
