// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <mnv3/config/conventions.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/taps.hpp>

namespace mnv3 {

/// Name and shape of one tensor in the state dict.
struct Key {
  Name name;
  std::array<std::int64_t, 4> sizes{};
  std::size_t rank = 0;
  bool is_buffer = false;    ///< A statistic or a frozen value, not a parameter.
  bool is_integral = false;  ///< int64 (`num_batches_tracked`) instead of floating point.
  int position = 0;          ///< See `position_after`.

  constexpr std::span<const std::int64_t> shape() const { return {sizes.data(), rank}; }
  constexpr std::int64_t numel() const {
    std::int64_t n = 1;
    for (const std::int64_t size : shape()) n *= size;
    return n;
  }
};

/// Calls `visit(name, is_buffer, is_counter)` for every tensor of a norm, in the order of the state
/// dict: parameters come before buffers. A counter is one integer, the others have one value for
/// each channel.
/// Source  torch 1.13.1 nn/modules/batchnorm.py, normalization.py; torchvision 0.14.1 ops/misc.py
///         L30-34.
template <class Visit>
constexpr void for_each_norm_tensor(Norm norm, Visit visit) {
  switch (norm) {
    case Norm::batch:
    case Norm::frozen_batch:
      visit("weight", norm == Norm::frozen_batch, false);
      visit("bias", norm == Norm::frozen_batch, false);
      visit("running_mean", true, false);
      visit("running_var", true, false);
      if (norm == Norm::batch) visit("num_batches_tracked", true, true);
      return;
    case Norm::group:
      visit("weight", false, false);
      visit("bias", false, false);
      return;
    case Norm::none:
      return;
  }
}

/// Calls `visit(const Key&)` for every tensor of the whole network's state dict, in the order of
/// torchvision's and timm's.
template <class Visit>
constexpr void for_each_key(const Definition& net, Visit visit, Names names = {}) {
  const Norm norm = net.settings.norm;
  for_each_layer(net, [&](const Layer& layer) {
    const auto key = [&](const Name& name, std::array<std::int64_t, 4> sizes, std::size_t rank,
                         bool is_buffer = false, bool is_integral = false) {
      visit(Key{name, sizes, rank, is_buffer, is_integral, layer.position});
    };
    const LayerNames layer_names = names_of(net, layer, names);
    const Name& first = layer_names.first;
    const Name& second = layer_names.second;
    const Conv2dNormActivationConfig& c = layer.conv;
    switch (layer.kind) {
      case Layer::Kind::conv_norm_activation:
        key(first + ".weight", {c.out_channels, c.in_channels / c.groups, c.kernel, c.kernel}, 4);
        for_each_norm_tensor(norm, [&](std::string_view name, bool is_buffer, bool is_counter) {
          key(second + "." + name, {c.out_channels}, is_counter ? 0 : 1, is_buffer, is_counter);
        });
        break;
      case Layer::Kind::squeeze_excitation:
        key(first + ".weight", {c.out_channels, c.in_channels, 1, 1}, 4);
        key(first + ".bias", {c.out_channels}, 1);
        key(second + ".weight", {c.in_channels, c.out_channels, 1, 1}, 4);
        key(second + ".bias", {c.in_channels}, 1);
        break;
      case Layer::Kind::linear: {
        const bool is_1x1 = dialect_of(names).hidden_is_1x1 && layer.role == Layer::Role::hidden;
        key(first + ".weight", {c.out_channels, c.in_channels, 1, 1}, is_1x1 ? 4 : 2);
        if (layer.has_bias) key(first + ".bias", {c.out_channels}, 1);
        break;
      }
    }
  });
}

namespace config::detail {

template <architecture Arch, class Taps>
constexpr auto keys_of() {
  static_assert(verify<Arch>());
  static_assert(verify_blocks_known<Arch>());
  static_assert(verify_taps<Arch, Taps>());
  static_assert(verify_classes_known<Arch, Taps>());
  constexpr int reach = reach_of<Arch, Taps>();
  constexpr std::size_t count = [] {
    std::size_t n = 0;
    for_each_key(definition_of<Arch>, [&](const Key& key) { n += key.position <= reach; });
    return n;
  }();
  std::array<Key, count> keys{};
  std::size_t next = 0;
  for_each_key(definition_of<Arch>, [&](const Key& key) {
    if (key.position <= reach) keys[next++] = key;
  });
  return keys;
}

}  // namespace config::detail

/// The state dict of a module with these taps: names, shapes and order of torchvision.
template <architecture Arch, class Taps = taps<>>
inline constexpr auto keys = config::detail::keys_of<Arch, Taps>();

}  // namespace mnv3
