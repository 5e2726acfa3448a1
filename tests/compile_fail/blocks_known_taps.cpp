// SPDX-License-Identifier: MIT
// The inside of a block of one's own.
// expect: mnv3: \[blocks_known\]
// expect: tap_error<Own, mnv3::expansion<4> ?>
#include <mnv3/config.hpp>

struct Own : mnv3::LargeArch {
  template <mnv3::InvertedResidualConfig Row>
  class block {};
};
#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::after<3>, mnv3::after<4>>;
#else
using Taps = mnv3::taps<mnv3::after<3>, mnv3::expansion<4>>;
#endif
static_assert(mnv3::verify_taps<Own, Taps>());
