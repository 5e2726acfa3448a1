// SPDX-License-Identifier: MIT
// An output stride that nobody publishes.
// expect: mnv3: the output stride must be 8, 16 or 32
// errors: 1
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
constexpr int stride = 16;
#else
constexpr int stride = 4;
#endif
using Encoder = mnv3::OutputStride<mnv3::LargeArch, stride, mnv3::DilationRule::timm>;
static_assert(mnv3::verify<Encoder>());
