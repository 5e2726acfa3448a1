// SPDX-License-Identifier: MIT
// An expansion factor where the number of channels belongs.
// expect: mnv3: \[expand_not_below_in\]
// expect: architecture_error<Broken, mnv3::config::at_block<1>, .*got<6>, .*expected<16> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr int expanded = 64;
#else
  static constexpr int expanded = 6;
#endif
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1},
      {16, 3, expanded, 24, false, RE, 2},
  });
};
static_assert(mnv3::verify<Broken>());
