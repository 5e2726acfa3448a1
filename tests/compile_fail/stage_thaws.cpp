// SPDX-License-Identifier: MIT
// A stage that the type freezes, and the classifier of a network without one.
// needs: torch
// errors: 4
// expect: mnv3: \[stage_thaws\]
// expect: stage_error<mnv3::Frozen<mnv3::SmallArch, .*>, .*stem ?>
// expect: mnv3: \[logits_exist\]
// expect: architecture_error<mnv3::Frozen<mnv3::SmallArch, .*> ?>
#include <mnv3/mnv3.hpp>
#include <mnv3/train/freeze.hpp>
#include <mnv3/train/replace_classifier.hpp>

using Arch = mnv3::Frozen<mnv3::SmallArch, mnv3::stem>;
#ifdef MNV3_FIXED
using Thawed = mnv3::stages<mnv3::C1>;
using Taps = mnv3::taps<mnv3::logits>;
#else
using Thawed = mnv3::stages<mnv3::C1, mnv3::stem>;
using Taps = mnv3::taps<mnv3::embedding>;
#endif

void thaw(mnv3::MobileNetV3<Arch, Taps>& net) {
  mnv3::unfreeze(net, Thawed{});
  mnv3::replace_classifier(net, 10);
}
