// SPDX-License-Identifier: MIT
// A ninth column that leaves no channels.
// expect: mnv3: \[width_mult_positive\]
// expect: architecture_error<Broken, mnv3::config::at_block<0>, .*got<0>, .*expected<1> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr double width = 0.75;
#else
  static constexpr double width = 0;
#endif
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1, 1, width},
  });
};
static_assert(mnv3::verify<Broken>());
