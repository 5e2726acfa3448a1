// SPDX-License-Identifier: MIT
// What cannot be deployed is refused with the words that refuse the network.
// needs: torch
// errors: 4
// expect: mnv3: \[in_follows_out\]
// expect: architecture_error<Broken, mnv3::config::at_block<1>, .*got<24>, .*expected<16> ?>
// expect: mnv3: \[feature_exists\]
// expect: tap_error<mnv3::LargeArch, mnv3::after<99>, mnv3::config::available<0, 1, .*, 15, 16> ?>
#include <mnv3/mnv3.hpp>

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

using Taps = mnv3::taps<mnv3::after<1>, Broken::Tap>;

torch::Tensor use(const mnv3::Deployed<Broken>& broken_table,
                  const mnv3::Deployed<mnv3::LargeArch, Taps>& broken_tap) {
  auto [low, high] = broken_tap(torch::ones({1, 3, 32, 32}));
  return broken_table(low + high);
}

void make() {
  mnv3::deploy<mnv3::LargeArch, Taps>("weights.pth");
  mnv3::deploy(mnv3::MobileNetV3<Broken>());
  static_assert(mnv3::Deployed<Broken>::channels.size() == 1);
  static_assert(mnv3::Deployed<mnv3::LargeArch, Taps>::arena_bytes(224, 224) >= 0);
}
