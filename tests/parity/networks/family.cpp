// SPDX-License-Identifier: MIT
// Networks of other people that torchvision's constructor does not make.

#include <array>

#include <parity/networks.hpp>

namespace parity {

namespace {

using namespace mnv3;

/// PaddleOCR's text recogniser, MobileNetV3 small x0.35, with a classifier in place of its sequence
/// model: it halves the height and keeps the width, and each of its blocks has an expansion.
/// Source  PaddleOCR ppocr/modeling/backbones/rec_mobilenet_v3.py.
struct Recogniser {
  using enum Activation;
  static constexpr auto blocks = [] {
    constexpr double width = 0.35;
    auto rows = std::to_array<InvertedResidualConfig>({
        {16, 3, 16, 16, true, RE, {2, 1}, 1, width},
        {16, 3, 72, 24, false, RE, {2, 1}, 1, width},
        {24, 3, 88, 24, false, RE, 1, 1, width},
        {24, 5, 96, 40, true, HS, {2, 1}, 1, width},
        {40, 5, 240, 40, true, HS, 1, 1, width},
        {40, 5, 240, 40, true, HS, 1, 1, width},
        {40, 5, 120, 48, true, HS, 1, 1, width},
        {48, 5, 144, 48, true, HS, 1, 1, width},
        {48, 5, 288, 96, true, HS, {2, 1}, 1, width},
        {96, 5, 576, 96, true, HS, 1, 1, width},
        {96, 5, 576, 96, true, HS, 1, 1, width},
    });
    for (InvertedResidualConfig& row : rows) row.expands_always = true;
    return rows;
  }();
  static constexpr Settings settings{
      .num_classes = 37,
      .norm_eps = 1e-5,
      .norm_momentum = 0.1,
      .squeeze{.divisor = 1, .gate = Gate::hardsigmoid_slope_0_2},
      .closing_channels = 200,
      .hidden_layer = false,
  };
};

/// A detector's backbone of which a part of the channels was taken away; what closes it was not.
struct Pruned {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, false, RE, 1, 1},
      {16, 3, 48, 24, false, RE, 2, 1},
      {24, 5, 56, 32, true, RE, 2, 1},
      {32, 3, 120, 48, false, HS, 2, 1},
      {48, 3, 160, 48, false, HS, 1, 1},
      {48, 5, 344, 64, true, HS, 2, 1},
      {64, 5, 280, 64, true, HS, 1, 1},
  });
  static constexpr Settings settings{.closing_channels = 480};
};

}  // namespace

Networks family_networks() {
  return {
      {"mobilenet_v2", network<MobileNetV2Arch>()},
      {"lcnet_050", network<timm::lcnet_050>()},
      {"lcnet_075", network<timm::lcnet_075>()},
      {"lcnet_100", network<timm::lcnet_100>()},
      {"lcnet_of_torchvision", network<Renamed<timm::lcnet_050>>()},
      {"recogniser", network<Recogniser>()},
      {"recogniser_head", network<Recogniser, taps<after<0>, at_stride<8, 2>, at_stride<32, 2>>>()},
      {"pruned", network<Pruned>()},
      {"pruned_detector", network<Pruned, taps<expansion<6>, at_stride<32>>>()},
  };
}

}  // namespace parity
