// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <tuple>
#include <utility>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/input.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/setting.hpp>
#include <mnv3/config/stage_set.hpp>

namespace mnv3 {

/// `num_classes` of a network that is told when it is made: `MobileNetV3<Arch> net(37)`.
inline constexpr int dynamic_classes = -1;

/// What an architecture says besides its table, as its static member `settings`. Everything has
/// torchvision's default. A misspelled name does not compile.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L118-137, L154, L250.
struct Settings {
  Input input{};
  Setting<int> num_classes = by_default(1000);  ///< Or `dynamic_classes`.
  Setting<int> last_channel = by_default(1280);  ///< Width of the classifier's hidden layer.
  Setting<double> dropout = by_default(0.2);     ///< Probability, before the last Linear.
  Setting<Norm> norm = by_default(Norm::batch);
  /// Added to the variance. Not given: 1e-3 for batch norm, as in torchvision's MobileNetV3, and
  /// 1e-5 for the others, which is what their modules have. See `norm_eps_of`.
  Setting<double> norm_eps = by_default(1e-3);
  Setting<double> norm_momentum = by_default(0.01);  ///< Of batch norm.
  Setting<int> norm_groups = by_default(8);          ///< Of group norm.
  Setting<Padding> padding = by_default(Padding::symmetric);
  Squeeze squeeze{};
  /// Of all that is not a block: stem, closing convolutions, hidden layer.
  Setting<Activation> activation = by_default(Activation::HS);
  Setting<int> closing_layers = by_default(1);  ///< 1x1 convolutions after the last block.
  /// Their output channels. Not given: six times those of the last block.
  Setting<int> closing_channels = by_default(0);
  Setting<Pooling> pooling = by_default(Pooling::avg);
  Setting<bool> hidden_layer = by_default(true);  ///< False: the classifier is one Linear.
  Setting<bool> hidden_bias = by_default(true);   ///< Of the classifier's hidden layer.
  Setting<Names> names = by_default(Names{});     ///< In this architecture's checkpoints.
  /// The stage of each row, from 0 on, which timm's names tell. Empty: one begins with each stride
  /// of 2 and each new number of output channels.
  std::span<const int> stages{};
  /// What neither learns nor moves, batch norm included, whatever `train()` says.
  Setting<StageSet> frozen = by_default(StageSet{});
};

/// What is added to the variance before its square root is taken.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L154, ops/misc.py L25; torch 1.13.1
///         nn/modules/normalization.py (`GroupNorm`).
constexpr double norm_eps_of(const Settings& settings) {
  if (settings.norm_eps.is_given()) return settings.norm_eps;
  switch (settings.norm) {
    case Norm::batch:
      return settings.norm_eps;
    case Norm::frozen_batch:
    case Norm::group:
    case Norm::none:
      break;
  }
  return 1e-5;
}

/// References to all settings, those of `input` and `squeeze` among them. By position: a member
/// that is added to a struct above does not compile until it is added here.
template <class AnySettings>
constexpr auto leaves_of(AnySettings& settings) {
  auto& [input, num_classes, last_channel, dropout, norm, norm_eps, norm_momentum, norm_groups,
         padding, squeeze, activation, closing_layers, closing_channels, pooling, hidden_layer,
         hidden_bias, names, stages, frozen] = settings;
  auto& [channels, mean, std] = input;
  auto& [divisor, block_activation, gate, ratio] = squeeze;
  return std::tie(channels, mean, std, num_classes, last_channel, dropout, norm, norm_eps,
                  norm_momentum, norm_groups, padding, divisor, block_activation, gate, ratio,
                  activation, closing_layers, closing_channels, pooling, hidden_layer, hidden_bias,
                  names, stages, frozen);
}

/// `settings` with what `base` has where they do not give anything themselves.
constexpr Settings inherited(Settings settings, const Settings& base) {
  const auto inherit = [](auto& own, const auto& from) {
    if constexpr (requires { own.is_given(); }) {
      if (!own.is_given()) own = from;
    } else if (own.empty()) {
      own = from;
    }
  };
  const auto own = leaves_of(settings);
  const auto from = leaves_of(base);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (inherit(std::get<I>(own), std::get<I>(from)), ...);
  }
  (std::make_index_sequence<std::tuple_size_v<decltype(own)>>{});
  return settings;
}

}  // namespace mnv3
