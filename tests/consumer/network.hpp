// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/mnv3.hpp>

// Both files of the consumer use the same network: the headers must not define anything twice.
using Encoder = mnv3::MobileNetV3<mnv3::SmallArch, mnv3::taps<mnv3::after<1>, mnv3::at_stride<8>>>;

Encoder make_encoder();
