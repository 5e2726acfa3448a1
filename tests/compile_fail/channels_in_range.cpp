// SPDX-License-Identifier: MIT
// A block without an output.
// expect: mnv3: \[channels_in_range\]
// expect: architecture_error<Broken, mnv3::config::at_block<1>, .*got<0>, .*expected<1> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr int out = 24;
#else
  static constexpr int out = 0;
#endif
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1},
      {16, 3, 64, out, false, RE, 2},
  });
};
static_assert(mnv3::verify<Broken>());
