// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <ratio>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/arch.hpp>
#include <mnv3/config/architectures.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/config/transform.hpp>

/// timm's MobileNetV3s and LCNets under timm's own names. Only mobilenetv3_large_075 has no
/// published weights.
///
/// Source  timm 1.0.29 models/mobilenetv3.py L511-670, L1281-1380.
namespace mnv3::timm {

/// `Arch` with the conventions of what was trained with timm.
template <architecture Arch>
struct Native : Arch {
  static constexpr Settings settings{
      .dropout = 0, .norm_eps = 1e-5, .norm_momentum = 0.1, .names = Names::timm};
};

/// `Arch` with the conventions of weights that come from TensorFlow: `tf_...`.
template <architecture Arch>
struct FromTensorFlow : Native<Arch> {
  static constexpr Settings settings{.norm_eps = 1e-3, .padding = Padding::same};
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

struct mobilenetv3_large_150d : Native<Width<DepthMult<LargeArch, std::ratio<6, 5>>, 150>> {};

/// timm's first MobileNetV3: no residual in the first block, squeeze-and-excitation of unrounded
/// width with the block's own activation, no bias in the hidden layer.
struct mobilenetv3_rw : Native<LargeArch> {
  static constexpr auto blocks = [] {
    auto rows = LargeArch::blocks;
    rows.front().residual = false;
    return rows;
  }();
  static constexpr Settings settings{
      .norm_eps = 1e-3, .squeeze{.divisor = 1, .block_activation = true}, .hidden_bias = false};
};

/// PaddlePaddle's LCNet, width 1: no expansion, an activation after each convolution, no residual,
/// squeeze-and-excitation only at the end; what is pooled goes through the hidden layer.
/// Source  arXiv:2109.15099 Table 2; timm 1.0.29 models/mobilenetv3.py `_gen_lcnet`.
struct LCNet {
  using enum Activation;
  static constexpr auto blocks = [] {
    // clang-format off
    auto rows = std::to_array<InvertedResidualConfig>({
        // in, kernel, expand, out, SE, activation, stride, dilation
        { 16, 3,  16,  32, false, HS, 1, 1},
        { 32, 3,  32,  64, false, HS, 2, 1},  // stride 4
        { 64, 3,  64,  64, false, HS, 1, 1},
        { 64, 3,  64, 128, false, HS, 2, 1},  // stride 8
        {128, 3, 128, 128, false, HS, 1, 1},
        {128, 3, 128, 256, false, HS, 2, 1},  // stride 16
        {256, 5, 256, 256, false, HS, 1, 1},
        {256, 5, 256, 256, false, HS, 1, 1},
        {256, 5, 256, 256, false, HS, 1, 1},
        {256, 5, 256, 256, false, HS, 1, 1},
        {256, 5, 256, 256, false, HS, 1, 1},
        {256, 5, 256, 512, true,  HS, 2, 1},  // stride 32
        {512, 5, 512, 512, true,  HS, 1, 1},
    });
    // clang-format on
    for (InvertedResidualConfig& row : rows) {
      row.residual = false;
      row.projection_activation = HS;
    }
    return rows;
  }();
  static constexpr auto stage_of_row = std::to_array({0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5});
  static constexpr Settings settings{
      .squeeze{.divisor = 1}, .closing_layers = 0, .stages = stage_of_row};
};
/// Its stem is as narrow as the rest, whatever the width.
template <int Percent>
using LCNetOfWidth = WidthMult<LCNet, std::ratio<Percent, 100>, WidthRule::paper>;

struct lcnet_050 : Native<LCNetOfWidth<50>> {};
struct lcnet_075 : Native<LCNetOfWidth<75>> {};
struct lcnet_100 : Native<LCNet> {};

}  // namespace mnv3::timm
