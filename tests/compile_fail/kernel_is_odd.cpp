// SPDX-License-Identifier: MIT
// A kernel without a middle.
// expect: mnv3: \[kernel_is_odd\]
// expect: architecture_error<Broken, mnv3::config::at_block<2>, .*got<4>, .*expected<5> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr int kernel = 5;
#else
  static constexpr int kernel = 4;
#endif
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1},
      {16, 3, 64, 24, false, RE, 2},
      {24, kernel, 72, 40, true, RE, 2},
  });
};
static_assert(mnv3::verify<Broken>());
