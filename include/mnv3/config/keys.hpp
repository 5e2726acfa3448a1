// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/taps.hpp>

namespace mnv3 {

/// Name and shape of one tensor in the state dict.
struct Key {
  Name name;
  std::array<std::int64_t, 4> sizes{};
  std::size_t rank = 0;
  bool is_buffer = false;    ///< A running statistic, not a parameter.
  bool is_integral = false;  ///< int64 (`num_batches_tracked`) instead of floating point.
  int position = 0;          ///< See `position_after`.

  constexpr std::span<const std::int64_t> shape() const { return {sizes.data(), rank}; }
  constexpr std::int64_t numel() const {
    std::int64_t n = 1;
    for (const std::int64_t size : shape()) n *= size;
    return n;
  }
};

/// Calls `visit(const Key&)` for every tensor of the whole network's state dict, in torchvision's
/// order.
template <class Visit>
constexpr void for_each_key(const Definition& net, Visit visit) {
  for_each_layer(net, [&](const Layer& layer) {
    const auto key = [&](std::string_view suffix, std::array<std::int64_t, 4> sizes,
                         std::size_t rank, bool is_buffer = false, bool is_integral = false) {
      visit(Key{layer.name + suffix, sizes, rank, is_buffer, is_integral, layer.position});
    };
    const Conv2dNormActivationConfig& c = layer.conv;
    switch (layer.kind) {
      case Layer::Kind::conv_norm_activation:
        key(".0.weight", {c.out_channels, c.in_channels / c.groups, c.kernel, c.kernel}, 4);
        key(".1.weight", {c.out_channels}, 1);
        key(".1.bias", {c.out_channels}, 1);
        key(".1.running_mean", {c.out_channels}, 1, true);
        key(".1.running_var", {c.out_channels}, 1, true);
        key(".1.num_batches_tracked", {}, 0, true, true);
        break;
      case Layer::Kind::squeeze_excitation:
        key(".fc1.weight", {c.out_channels, c.in_channels, 1, 1}, 4);
        key(".fc1.bias", {c.out_channels}, 1);
        key(".fc2.weight", {c.in_channels, c.out_channels, 1, 1}, 4);
        key(".fc2.bias", {c.in_channels}, 1);
        break;
      case Layer::Kind::linear:
        key(".weight", {c.out_channels, c.in_channels}, 2);
        key(".bias", {c.out_channels}, 1);
        break;
    }
  });
}

namespace detail {

template <architecture Arch, class Taps>
constexpr auto keys_of() {
  static_assert(verify<Arch>());
  static_assert(verify_taps<Arch, Taps>());
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

}  // namespace detail

/// The state dict of a network with these taps: names, shapes and order of torchvision.
template <architecture Arch, class Taps = taps<>>
inline constexpr auto keys = detail::keys_of<Arch, Taps>();

}  // namespace mnv3
