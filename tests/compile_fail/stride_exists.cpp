// SPDX-License-Identifier: MIT
// A dilated network ends at stride 16.
// expect: mnv3: \[stride_exists\]
// expect: tap_error<mnv3::RvmArch, mnv3::at_stride<32>, mnv3::config::available<2, 4, 8, 16> ?>
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::after<3>, mnv3::at_stride<16>>;
#else
using Taps = mnv3::taps<mnv3::after<3>, mnv3::at_stride<32>>;
#endif
static_assert(mnv3::verify_taps<mnv3::RvmArch, Taps>());
