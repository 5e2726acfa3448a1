// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config.hpp>
#include <mnv3/nn.hpp>

/// Large enough to have every kind of layer; the table of the files in ../shared/cases.
struct TinyArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE, 2, 1},
      {16, 3, 64, 24, false, HS, 2, 1},
      {24, 5, 72, 24, true, HS, 1, 1},
  });
  static constexpr mnv3::Settings settings{.num_classes = 10, .last_channel = 64};
};
using Tiny = mnv3::MobileNetV3<TinyArch>;
using TinyEncoder = mnv3::MobileNetV3<TinyArch, mnv3::taps<mnv3::after<1>, mnv3::after<3>>>;
