// SPDX-License-Identifier: MIT
// expect: mnv3: \[blocks_known\]
// expect: architecture_error<Broken ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifndef MNV3_FIXED
  template <mnv3::InvertedResidualConfig Row>
  class block {};
#endif
};
const auto count = mnv3::parameter_count<Broken>();
