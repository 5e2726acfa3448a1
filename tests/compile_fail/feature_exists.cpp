// SPDX-License-Identifier: MIT
// A feature of Large, asked of Small.
// expect: mnv3: \[feature_exists\]
// expect: tap_error<mnv3::SmallArch, mnv3::after<13>, mnv3::config::available<0, 1, .*, 11, 12> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::after<12>>;
#else
using Taps = mnv3::taps<mnv3::after<13>>;
#endif
static_assert(mnv3::verify_taps<mnv3::SmallArch, Taps>());
