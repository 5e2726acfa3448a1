// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/packed.hpp>
#include <mnv3/engine/kernels/plan.hpp>

namespace mnv3::engine {

/// What the compiler knows about a network whose activations are kept as `Element`.
template <architecture Arch, class Taps, class Element = float>
struct NetworkLayout {
  using Stored = Element;
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr auto taps = tap_info_of<Arch, Taps>();
  static constexpr int reach = taps.back().position;
  static constexpr bool has_pooling = reach >= position_of_pooled(net);
  static constexpr bool has_hidden = engine::has_hidden(net, reach);
  static constexpr bool has_logits = reach == position_of_logits(net);
  static constexpr std::size_t features = static_cast<std::size_t>(features_up_to(net, reach));
  static constexpr auto places = packed_places<features, Stored>(net, taps);
  using Memory = engine::Memory<features>;

  static constexpr Memory memory(const Extent& picture, std::int64_t tasks) {
    return memory_of<features, Stored>(net, taps, picture, tasks);
  }
};

/// Height and width of output `tap` for such pictures; 1 and 1 where it is no feature map.
template <class Layout>
constexpr Extent output_extent(std::size_t tap, const Extent& picture) {
  const TapInfo& info = Layout::taps[tap];
  if (info.feature < 0) return {1, 1};
  const auto memory = Layout::memory(picture, 1);
  const FeatureMemory& m = memory.features[static_cast<std::size_t>(info.feature)];
  return info.position == position_of_expansion(info.feature) ? m.in : m.out;
}

}  // namespace mnv3::engine
