// SPDX-License-Identifier: MIT
// A block that takes another width than the one before it gives.
// expect: mnv3: \[in_follows_out\]
// expect: architecture_error<Broken, mnv3::config::at_block<1>, .*got<24>, .*expected<16> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr int second_in = 16;
#else
  static constexpr int second_in = 24;
#endif
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1},
      {second_in, 3, 64, 24, false, RE, 2},
  });
};
static_assert(mnv3::verify<Broken>());
