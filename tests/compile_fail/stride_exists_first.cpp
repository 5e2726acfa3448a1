// SPDX-License-Identifier: MIT
// A number of a pyramid level where a stride belongs.
// expect: mnv3: \[stride_exists\]
// expect: tap_error<mnv3::LargeArch, mnv3::first_at_stride<5>, .*available<2, 4, 8, 16, 32> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::first_at_stride<8>>;
#else
using Taps = mnv3::taps<mnv3::first_at_stride<5>>;
#endif
static_assert(mnv3::verify_taps<mnv3::LargeArch, Taps>());
