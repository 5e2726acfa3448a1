// SPDX-License-Identifier: MIT
// A table without rows.
// expect: mnv3: \[has_blocks\]
// expect: architecture_error<Broken, mnv3::config::got<0>, mnv3::config::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr std::array blocks{mnv3::SmallArch::blocks[0]};
#else
  static constexpr std::array<mnv3::InvertedResidualConfig, 0> blocks{};
#endif
};
static_assert(mnv3::verify<Broken>());
