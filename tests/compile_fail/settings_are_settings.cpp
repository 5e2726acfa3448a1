// SPDX-License-Identifier: MIT
// Settings of another type.
// expect: mnv3: \[settings_are_settings\] .*`static constexpr mnv3::Settings settings
// expect: architecture_error<Broken ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::LargeArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.input{.channels = 1}};
#else
  static constexpr mnv3::Input settings{.channels = 1};
#endif
};
static_assert(mnv3::verify<Broken>());
