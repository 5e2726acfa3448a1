// SPDX-License-Identifier: MIT
// The first block is as wide inside as outside.
// expect: mnv3: \[expansion_exists\]
// expect: tap_error<mnv3::LargeArch, mnv3::expansion<1>, mnv3::config::available<2, 3, 4, 5, 6, 7, 8, 9,
// 10, 11, 12, 13, 14, 15> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::expansion<2>>;
#else
using Taps = mnv3::taps<mnv3::expansion<1>>;
#endif
static_assert(mnv3::verify_taps<mnv3::LargeArch, Taps>());
