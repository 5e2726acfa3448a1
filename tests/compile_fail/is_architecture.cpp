// SPDX-License-Identifier: MIT
// A table under another name.
// expect: mnv3: \[is_architecture\] .*std::to_array<mnv3::InvertedResidualConfig>
// expect: architecture_error<Broken ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr auto blocks = mnv3::SmallArch::blocks;
#else
  static constexpr auto rows = mnv3::SmallArch::blocks;
#endif
};
static_assert(mnv3::verify<Broken>());
