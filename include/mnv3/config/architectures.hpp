// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/block.hpp>
#include <mnv3/config/input.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/config/transform.hpp>

namespace mnv3 {

/// MobileNetV3-Large.
/// Source  arXiv:1905.02244 Table 1; torchvision 0.14.1 models/mobilenetv3.py L233-250.
struct LargeArch {
  using enum Activation;
  // clang-format off
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      // in, kernel, expand, out, SE, activation, stride, dilation
      { 16, 3,  16,  16, false, RE, 1, 1},
      { 16, 3,  64,  24, false, RE, 2, 1},  // C1: stride 4
      { 24, 3,  72,  24, false, RE, 1, 1},
      { 24, 5,  72,  40, true,  RE, 2, 1},  // C2: stride 8
      { 40, 5, 120,  40, true,  RE, 1, 1},
      { 40, 5, 120,  40, true,  RE, 1, 1},
      { 40, 3, 240,  80, false, HS, 2, 1},  // C3: stride 16
      { 80, 3, 200,  80, false, HS, 1, 1},
      { 80, 3, 184,  80, false, HS, 1, 1},
      { 80, 3, 184,  80, false, HS, 1, 1},
      { 80, 3, 480, 112, true,  HS, 1, 1},
      {112, 3, 672, 112, true,  HS, 1, 1},
      {112, 5, 672, 160, true,  HS, 2, 1},  // C4: stride 32
      {160, 5, 960, 160, true,  HS, 1, 1},
      {160, 5, 960, 160, true,  HS, 1, 1},
  });
  // clang-format on
};

/// MobileNetV3-Small.
/// Source  arXiv:1905.02244 Table 2; torchvision 0.14.1 models/mobilenetv3.py L252-265.
struct SmallArch {
  using enum Activation;
  // clang-format off
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      // in, kernel, expand, out, SE, activation, stride, dilation
      {16, 3,  16, 16, true,  RE, 2, 1},  // C1: stride 4
      {16, 3,  72, 24, false, RE, 2, 1},  // C2: stride 8
      {24, 3,  88, 24, false, RE, 1, 1},
      {24, 5,  96, 40, true,  HS, 2, 1},  // C3: stride 16
      {40, 5, 240, 40, true,  HS, 1, 1},
      {40, 5, 240, 40, true,  HS, 1, 1},
      {40, 5, 120, 48, true,  HS, 1, 1},
      {48, 5, 144, 48, true,  HS, 1, 1},
      {48, 5, 288, 96, true,  HS, 2, 1},  // C4: stride 32
      {96, 5, 576, 96, true,  HS, 1, 1},
      {96, 5, 576, 96, true,  HS, 1, 1},
  });
  // clang-format on
  static constexpr Settings settings{.last_channel = 1024};
};

/// RobustVideoMatting's encoder: MobileNetV3-Large with a dilated tail (output stride 16) that
/// takes RGB in [0, 1] and normalises it itself. RVM taps `after<1>, after<3>, after<6>,
/// after<16>`.
/// Source  RobustVideoMatting model/mobilenetv3.py L9-37.
struct RvmArch : Dilated<LargeArch> {
  static constexpr Settings settings{.input = Input::rgb01_normalized_imagenet};
};

/// MobileNetV2, width 1. In files it has the names of torchvision's `mobilenet_v2`.
/// Source  arXiv:1801.04381 Table 2; torchvision 0.14.1 models/mobilenetv2.py L67-190.
struct MobileNetV2Arch {
  using enum Activation;
  // clang-format off
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      // in, kernel, expand, out, SE, activation, stride, dilation
      { 32, 3,  32,  16, false, RE6, 1, 1},
      { 16, 3,  96,  24, false, RE6, 2, 1},  // stride 4
      { 24, 3, 144,  24, false, RE6, 1, 1},
      { 24, 3, 144,  32, false, RE6, 2, 1},  // stride 8
      { 32, 3, 192,  32, false, RE6, 1, 1},
      { 32, 3, 192,  32, false, RE6, 1, 1},
      { 32, 3, 192,  64, false, RE6, 2, 1},  // stride 16
      { 64, 3, 384,  64, false, RE6, 1, 1},
      { 64, 3, 384,  64, false, RE6, 1, 1},
      { 64, 3, 384,  64, false, RE6, 1, 1},
      { 64, 3, 384,  96, false, RE6, 1, 1},
      { 96, 3, 576,  96, false, RE6, 1, 1},
      { 96, 3, 576,  96, false, RE6, 1, 1},
      { 96, 3, 576, 160, false, RE6, 2, 1},  // stride 32
      {160, 3, 960, 160, false, RE6, 1, 1},
      {160, 3, 960, 160, false, RE6, 1, 1},
      {160, 3, 960, 320, false, RE6, 1, 1},
  });
  // clang-format on
  static constexpr Settings settings{.norm_eps = 1e-5,
                                     .norm_momentum = 0.1,
                                     .activation = RE6,
                                     .closing_channels = 1280,
                                     .hidden_layer = false,
                                     .names = Names::torchvision_mobilenet_v2};
};

}  // namespace mnv3
