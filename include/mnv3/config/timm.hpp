// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <ratio>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/arch.hpp>
#include <mnv3/config/architectures.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/transform.hpp>

/// timm's MobileNetV3s under timm's own names. Only mobilenetv3_large_075 has no published weights.
///
/// Source  timm 1.0.29 models/mobilenetv3.py L511-670, L1281-1380.
namespace mnv3::timm {

/// `Arch` with the conventions of what was trained with timm.
template <architecture Arch>
struct Native : Arch {
  static constexpr Names names = Names::timm;
  static constexpr double dropout = 0;
  static constexpr double batch_norm_eps = 1e-5;
  static constexpr double batch_norm_momentum = 0.1;
};

/// `Arch` with the conventions of weights that come from TensorFlow: `tf_...`.
template <architecture Arch>
struct FromTensorFlow : Native<Arch> {
  static constexpr Padding padding = Padding::same;
  static constexpr double batch_norm_eps = 1e-3;
};

template <architecture Arch, int Percent>
using Width = WidthMult<Arch, std::ratio<Percent, 100>, WidthRule::timm>;

struct mobilenetv3_large_075 : Native<Width<LargeArch, 75>> {};
struct mobilenetv3_large_100 : Native<LargeArch> {};
struct mobilenetv3_small_050 : Native<Width<SmallArch, 50>> {};
struct mobilenetv3_small_075 : Native<Width<SmallArch, 75>> {};
struct mobilenetv3_small_100 : Native<SmallArch> {};

struct tf_mobilenetv3_large_075 : FromTensorFlow<Width<LargeArch, 75>> {};
struct tf_mobilenetv3_large_100 : FromTensorFlow<LargeArch> {};
struct tf_mobilenetv3_large_minimal_100 : FromTensorFlow<Minimalistic<LargeArch>> {};
struct tf_mobilenetv3_small_075 : FromTensorFlow<Width<SmallArch, 75>> {};
struct tf_mobilenetv3_small_100 : FromTensorFlow<SmallArch> {};
struct tf_mobilenetv3_small_minimal_100 : FromTensorFlow<Minimalistic<SmallArch>> {};

/// Large with 1.2 times the depth: each stage of n blocks has 1.2 n of them, rounded up.
struct DeepLarge : LargeArch {
  using enum Activation;
  // clang-format off
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      // in, kernel, expand, out, SE, activation, stride, dilation
      { 16, 3,  16,  16, false, RE, 1, 1},
      { 16, 3,  16,  16, false, RE, 1, 1},
      { 16, 3,  64,  24, false, RE, 2, 1},  // stride 4
      { 24, 3,  72,  24, false, RE, 1, 1},
      { 24, 3,  72,  24, false, RE, 1, 1},
      { 24, 5,  72,  40, true,  RE, 2, 1},  // stride 8
      { 40, 5, 120,  40, true,  RE, 1, 1},
      { 40, 5, 120,  40, true,  RE, 1, 1},
      { 40, 5, 120,  40, true,  RE, 1, 1},
      { 40, 3, 240,  80, false, HS, 2, 1},  // stride 16
      { 80, 3, 200,  80, false, HS, 1, 1},
      { 80, 3, 200,  80, false, HS, 1, 1},
      { 80, 3, 184,  80, false, HS, 1, 1},
      { 80, 3, 184,  80, false, HS, 1, 1},
      { 80, 3, 480, 112, true,  HS, 1, 1},
      {112, 3, 672, 112, true,  HS, 1, 1},
      {112, 3, 672, 112, true,  HS, 1, 1},
      {112, 5, 672, 160, true,  HS, 2, 1},  // stride 32
      {160, 5, 960, 160, true,  HS, 1, 1},
      {160, 5, 960, 160, true,  HS, 1, 1},
      {160, 5, 960, 160, true,  HS, 1, 1},
  });
  // clang-format on
  static constexpr int closing_layers = 2;
};
struct mobilenetv3_large_150d : Native<Width<DeepLarge, 150>> {};

/// timm's first MobileNetV3: no residual in the first block, squeeze-and-excitation of unrounded
/// width with the block's own activation, no bias in the hidden layer.
struct mobilenetv3_rw : Native<LargeArch> {
  static constexpr auto blocks = [] {
    auto rows = LargeArch::blocks;
    rows.front().residual = false;
    return rows;
  }();
  static constexpr Squeeze squeeze{.divisor = 1, .block_activation = true};
  static constexpr bool hidden_bias = false;
  static constexpr double batch_norm_eps = 1e-3;
};

}  // namespace mnv3::timm
