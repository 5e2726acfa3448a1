// SPDX-License-Identifier: MIT
// Dilation counted from 0; 1 is none.
// expect: mnv3: \[dilation_positive\]
// expect: architecture_error<Broken, mnv3::config::at_block<0>, .*got<0>, .*expected<1> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr int dilation = 1;
#else
  static constexpr int dilation = 0;
#endif
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1, dilation},
  });
};
static_assert(mnv3::verify<Broken>());
