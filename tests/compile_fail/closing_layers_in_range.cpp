// SPDX-License-Identifier: MIT
// No convolution behind the last block.
// expect: mnv3: \[closing_layers_in_range\]
// expect: architecture_error<Broken, mnv3::got<0>, mnv3::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
#ifdef MNV3_FIXED
  static constexpr int closing_layers = 2;
#else
  static constexpr int closing_layers = 0;
#endif
};
static_assert(mnv3::verify<Broken>());
