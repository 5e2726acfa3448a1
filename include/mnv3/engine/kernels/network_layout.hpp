// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
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
  static constexpr bool fuses_stem = engine::fuses_stem(net, taps);
  static constexpr auto places = packed_places<features, Stored>(net, taps);
  using Memory = engine::Memory<features>;

  static constexpr Memory memory(const Extent& picture, std::int64_t tasks) {
    return memory_of<features, Stored>(net, taps, picture, tasks);
  }
};

/// Height and width of each output for such pictures; 1 and 1 where it is no feature map.
template <class Layout>
constexpr std::array<Extent, Layout::taps.size()> output_extents(const Extent& picture) {
  std::array<Extent, Layout::taps.size()> extents;
  extents.fill({1, 1});
  Extent in = picture;
  for (int i = 0; i < static_cast<int>(Layout::features); ++i) {
    Extent out = in;
    if (i == 0)
      out = output_extent(stem_of(Layout::net), in);
    else if (is_block(Layout::net, i))
      out = output_extent(depthwise_of(row_of(Layout::net, i), Layout::net.settings), in);
    for (std::size_t tap = 0; tap < extents.size(); ++tap)
      if (const TapInfo& info = Layout::taps[tap]; info.feature == i)
        extents[tap] = info.position == position_of_expansion(i) ? in : out;
    in = out;
  }
  return extents;
}

}  // namespace mnv3::engine
