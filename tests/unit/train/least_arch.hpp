// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config.hpp>

/// The least that has squeeze-and-excitation, a stride and a residual.
struct LeastArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>(
      {{8, 3, 8, 8, true, RE, 2, 1}, {8, 5, 16, 8, true, HS, 1, 1}});
  static constexpr mnv3::Settings settings{.num_classes = 3, .last_channel = 16};
};
