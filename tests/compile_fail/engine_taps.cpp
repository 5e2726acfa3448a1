// SPDX-License-Identifier: MIT
// A stride that no feature has, in an engine.
// expect: mnv3: \[stride_exists\]
// expect: tap_error<mnv3::LargeArch, mnv3::at_stride<64>, mnv3::config::available<2, 4, 8, 16, 32> ?>
#include <mnv3/engine.hpp>

#ifdef MNV3_FIXED
using Net = mnv3::Engine<mnv3::LargeArch, mnv3::taps<mnv3::at_stride<16>>>;
#else
using Net = mnv3::Engine<mnv3::LargeArch, mnv3::taps<mnv3::at_stride<64>>>;
#endif

mnv3::FeatureMap use(const mnv3::Frame& frame) { return Net::load("large.pth")(frame); }
