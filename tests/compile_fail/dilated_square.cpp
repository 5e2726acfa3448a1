// SPDX-License-Identifier: MIT
// An output stride for a table whose axes differ.
// expect: mnv3: the table has strides that differ between the axes
// errors: 1
#include <mnv3/config.hpp>

struct Table : mnv3::SmallArch {
#ifndef MNV3_FIXED
  static constexpr auto blocks = [] {
    auto rows = mnv3::SmallArch::blocks;
    rows[3].stride = {2, 1};
    return rows;
  }();
#endif
};
using Encoder = mnv3::OutputStride<Table, 16, mnv3::DilationRule::timm>;
static_assert(mnv3::verify<Encoder>());
