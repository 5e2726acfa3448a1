// SPDX-License-Identifier: MIT
// Small has the stages stem and C1 to C5.
// expect: mnv3: \[frozen_exists\]
// expect: architecture_error<mnv3::Frozen<mnv3::SmallArch, .*C6>, mnv3::config::got<6>, mnv3::config::expected<5> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Net = mnv3::Frozen<mnv3::SmallArch, mnv3::C5>;
#else
using Net = mnv3::Frozen<mnv3::SmallArch, mnv3::C6>;
#endif
static_assert(mnv3::verify<Net>());
