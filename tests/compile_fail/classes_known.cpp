// SPDX-License-Identifier: MIT
// The size of a network that is told its number of classes when it is made.
// expect: mnv3: \[classes_known\]
// expect: architecture_error<mnv3::WithClasses<mnv3::SmallArch> ?>
// errors: 3
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Net = mnv3::WithClasses<mnv3::SmallArch, 10>;
#else
using Net = mnv3::WithClasses<mnv3::SmallArch>;
#endif
constexpr auto size = mnv3::parameter_count<Net>();
