// SPDX-License-Identifier: MIT
// Two names of one tensor.
// expect: mnv3: \[taps_differ\]
// expect: tap_error<mnv3::LargeArch, mnv3::at_stride<8>, .*comes_before<mnv3::after<6> ?> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::after<1>, mnv3::after<4>, mnv3::at_stride<8>>;
#else
using Taps = mnv3::taps<mnv3::after<1>, mnv3::after<6>, mnv3::at_stride<8>>;
#endif
static_assert(mnv3::verify_taps<mnv3::LargeArch, Taps>());
