// SPDX-License-Identifier: MIT
// A decoder on taps that it does not decode.
// needs: torch
// expect: mnv3: \[strides_fit\] this decoder needs a backbone with one output for each of its strides
// expect: backbone_error<mnv3::MobileNetV3<mnv3::LargeArch, .*has<2, 4, 8, 32>, .*needs<2, 4, 8, 16> ?>
#include <mnv3/heads.hpp>

#ifdef MNV3_FIXED
using Arch = mnv3::RvmArch;
#else
using Arch = mnv3::LargeArch;
#endif
using Backbone = mnv3::MobileNetV3<
    Arch, mnv3::taps<mnv3::after<1>, mnv3::after<3>, mnv3::after<6>, mnv3::after<16>>>;

torch::Tensor alpha_of(const torch::Tensor& frames) {
  mnv3::RobustVideoMatting<Backbone> matting;
  mnv3::MattingState state;
  auto [foreground, alpha] = matting->forward(frames, state, 0.25);
  return foreground + alpha;
}
