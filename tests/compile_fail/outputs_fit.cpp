// SPDX-License-Identifier: MIT
// LR-ASPP joins two outputs.
// needs: torch
// expect: mnv3: \[outputs_fit\] this decoder needs a backbone with another number of outputs
// expect: backbone_error<mnv3::MobileNetV3<mnv3::SmallArch, .*outputs<1>, .*needs<2> ?>
#include <mnv3/heads.hpp>

#ifdef MNV3_FIXED
using Taps = mnv3::taps<mnv3::first_at_stride<8>, mnv3::at_stride<32>>;
#else
using Taps = mnv3::taps<mnv3::at_stride<32>>;
#endif

torch::Tensor segment(const torch::Tensor& pictures) {
  mnv3::LRASPP<mnv3::MobileNetV3<mnv3::SmallArch, Taps>> net(3);
  return net->forward(pictures);
}
