// SPDX-License-Identifier: MIT
// The outermost types are refused with the same words. Nothing deeper is compiled after them, and
// what a program does with them adds no errors. (The last type is the second of two alike, reported
// once.)
// needs: torch
// errors: 5
// expect: mnv3: \[in_follows_out\]
// expect: architecture_error<Broken, mnv3::config::at_block<1>, .*got<24>, .*expected<16> ?>
// expect: mnv3: \[feature_exists\]
// expect: tap_error<mnv3::LargeArch, mnv3::after<99>, mnv3::config::available<0, 1, .*, 15, 16> ?>
#include <mnv3/nn.hpp>

struct Broken {
  using enum mnv3::Activation;
#ifdef MNV3_FIXED
  static constexpr int second_in = 16;
  using Tap = mnv3::after<9>;
#else
  static constexpr int second_in = 24;
  using Tap = mnv3::after<99>;
#endif
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1},
      {second_in, 3, 64, 24, false, RE, 2},
  });
};

mnv3::MobileNetV3<Broken> broken_table;
mnv3::MobileNetV3<mnv3::LargeArch, mnv3::taps<Broken::Tap>> broken_tap;

torch::Tensor use() {
  auto [low, high] = mnv3::MobileNetV3<mnv3::LargeArch, mnv3::taps<mnv3::after<1>, Broken::Tap>>()
                         ->forward(torch::ones({1, 3, 32, 32}));
  fmt::print("{} {}", broken_tap, mnv3::MobileNetV3<Broken>::channels[0]);
  broken_table->eval();
  return broken_table->forward(low + high);
}
