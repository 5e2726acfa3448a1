// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mnv3/config/conventions.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/names.hpp>
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

/// Calls `visit(const Key&)` for every tensor of the whole network's state dict, in the order of
/// torchvision's and timm's.
template <class Visit>
constexpr void for_each_key(const Definition& net, Visit visit, Names names = Names::torchvision) {
  for_each_layer(net, [&](const Layer& layer) {
    const auto key = [&](const Name& name, std::array<std::int64_t, 4> sizes, std::size_t rank,
                         bool is_buffer = false, bool is_integral = false) {
      visit(Key{name, sizes, rank, is_buffer, is_integral, layer.position});
    };
    const auto [first, second] = names_of(net, layer, names);
    const Conv2dNormActivationConfig& c = layer.conv;
    switch (layer.kind) {
      case Layer::Kind::conv_norm_activation:
        key(first + ".weight", {c.out_channels, c.in_channels / c.groups, c.kernel, c.kernel}, 4);
        key(second + ".weight", {c.out_channels}, 1);
        key(second + ".bias", {c.out_channels}, 1);
        key(second + ".running_mean", {c.out_channels}, 1, true);
        key(second + ".running_var", {c.out_channels}, 1, true);
        key(second + ".num_batches_tracked", {}, 0, true, true);
        break;
      case Layer::Kind::squeeze_excitation:
        key(first + ".weight", {c.out_channels, c.in_channels, 1, 1}, 4);
        key(first + ".bias", {c.out_channels}, 1);
        key(second + ".weight", {c.in_channels, c.out_channels, 1, 1}, 4);
        key(second + ".bias", {c.in_channels}, 1);
        break;
      case Layer::Kind::linear: {
        const bool is_1x1 = names == Names::timm && layer.role == Layer::Role::hidden;
        key(first + ".weight", {c.out_channels, c.in_channels, 1, 1}, is_1x1 ? 4 : 2);
        if (layer.has_bias) key(first + ".bias", {c.out_channels}, 1);
        break;
      }
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

/// The state dict of a module with these taps: names, shapes and order of torchvision.
template <architecture Arch, class Taps = taps<>>
inline constexpr auto keys = detail::keys_of<Arch, Taps>();

}  // namespace mnv3
