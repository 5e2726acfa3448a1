// SPDX-License-Identifier: MIT
// A stage after the last tap.
// needs: torch
// expect: mnv3: \[stage_exists\]
// expect: stage_error<mnv3::SmallArch, .*C3>
#include <mnv3/mnv3.hpp>
#include <mnv3/train/freeze.hpp>

void freeze(mnv3::MobileNetV3<mnv3::SmallArch, mnv3::taps<mnv3::after<3>>>& net) {
#ifdef MNV3_FIXED
  mnv3::freeze(net, mnv3::stages<mnv3::stem, mnv3::C2>{});
#else
  mnv3::freeze(net, mnv3::stages<mnv3::stem, mnv3::C3>{});
#endif
}
