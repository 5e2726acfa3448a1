// SPDX-License-Identifier: MIT
// The inside of a block, after its end.
// expect: mnv3: \[taps_ascend\]
// expect: tap_error<mnv3::LargeArch, mnv3::expansion<13>, .*comes_before<mnv3::after<13> ?> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::after<1>, mnv3::expansion<13>, mnv3::after<13>>;
#else
using Taps = mnv3::taps<mnv3::after<1>, mnv3::after<13>, mnv3::expansion<13>>;
#endif
static_assert(mnv3::verify_taps<mnv3::LargeArch, Taps>());
