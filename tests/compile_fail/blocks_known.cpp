// SPDX-License-Identifier: MIT
// What needs the table to describe the blocks, which have a type of their own.
// expect: mnv3: \[blocks_known\]
// expect: architecture_error<Broken ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifndef MNV3_FIXED
  template <mnv3::InvertedResidualConfig Row>
  class block {};
#endif
};
static_assert(mnv3::verify_blocks_known<Broken>());
