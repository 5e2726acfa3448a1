// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include <mnv3/config/channel_values.hpp>
#include <mnv3/config/setting.hpp>

namespace mnv3 {

/// Mean and standard deviation of ImageNet's RGB values in [0, 1].
/// Source  torchvision 0.14.1 transforms/_presets.py L44-45.
inline constexpr std::array imagenet_mean{0.485, 0.456, 0.406};
inline constexpr std::array imagenet_std{0.229, 0.224, 0.225};

/// What a network expects of its input tensor.
///
/// With `mean` and `std` the network itself computes (x - mean) / std for each channel; without
/// them normalising is the caller's, as in torchvision.
struct Input {
  Setting<int> channels = by_default(3);
  ChannelValues mean{};  ///< None, or one for each channel.
  ChannelValues std{};   ///< As many as `mean`, all above 0.

  constexpr bool normalized_inside() const { return !mean.empty(); }

  /// RGB, already normalised by the caller: torchvision's convention, and the default.
  static const Input rgb_normalized_by_caller;
  /// RGB in [0, 1], normalised inside the network by ImageNet's statistics.
  /// Source  RobustVideoMatting model/mobilenetv3.py L37.
  static const Input rgb01_normalized_imagenet;
};

inline constexpr Input Input::rgb_normalized_by_caller{
    .channels = 3, .mean = ChannelValues::none(), .std = ChannelValues::none()};
inline constexpr Input Input::rgb01_normalized_imagenet{
    .channels = 3, .mean = imagenet_mean, .std = imagenet_std};

}  // namespace mnv3
