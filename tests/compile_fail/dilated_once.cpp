// SPDX-License-Identifier: MIT
// An output stride for a table that is dilated already.
// expect: mnv3: the table is dilated already
// errors: 1
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
using Plain = mnv3::LargeArch;
#else
using Plain = mnv3::RvmArch;
#endif
using Encoder = mnv3::OutputStride<Plain, 16, mnv3::DilationRule::timm>;
static_assert(mnv3::verify<Encoder>());
