// SPDX-License-Identifier: MIT
// needs: torch
// expect: mnv3: \[feature_in_network\]
// expect: feature_error<99, mnv3::config::last_is<16> ?>
#include <mnv3/nn.hpp>

#ifdef MNV3_FIXED
constexpr int asked = 16;
#else
constexpr int asked = 99;
#endif

void print(mnv3::MobileNetV3<mnv3::LargeArch>& net) { net->features->at<asked>(); }
