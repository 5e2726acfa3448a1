// SPDX-License-Identifier: MIT
// A percentage where a probability belongs.
// expect: mnv3: \[dropout_is_probability\]
// expect: architecture_error<Broken, mnv3::config::got<20000>, mnv3::config::expected<1000> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr mnv3::Settings settings{.dropout = 0.2};
#else
  static constexpr mnv3::Settings settings{.dropout = 20};
#endif
};
static_assert(mnv3::verify<Broken>());
