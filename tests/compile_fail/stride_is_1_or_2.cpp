// SPDX-License-Identifier: MIT
// A stride that no MobileNetV3 has.
// expect: mnv3: \[stride_is_1_or_2\]
// expect: architecture_error<Broken, mnv3::config::at_block<0>, .*got<4>, .*expected<2> ?>
#include <mnv3/config.hpp>

struct Broken {
#ifdef MNV3_FIXED
  static constexpr int stride = 2;
#else
  static constexpr int stride = 4;
#endif
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, stride},
  });
};
static_assert(mnv3::verify<Broken>());
