// SPDX-License-Identifier: MIT
// The first block is as wide inside as outside.
// expect: mnv3: \[expansion_exists\]
// expect: tap_error<mnv3::LargeArch, mnv3::expansion<1>, .*available<2, 3, .*, 14, 15> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::expansion<2>>;
#else
using Taps = mnv3::taps<mnv3::expansion<1>>;
#endif
static_assert(mnv3::verify_taps<mnv3::LargeArch, Taps>());
