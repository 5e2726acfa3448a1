// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/axis.hpp>
#include <mnv3/config/conv2d_norm_activation.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/engine/kernels/layout.hpp>

// What a network needs in memory while it runs, from the liveness of what its table makes:
//
//   | input or output of the feature | tapped expansion | depthwise output | (the peak)
//   | what each task needs | sums of rows | vectors |
//
// A feature's output replaces its input: by then it is dead, or it is the residual, and each value
// is read before it is written. The expanded input of a block exists whole only where it is tapped;
// otherwise each task keeps a window of its rows, for two blocks of channels.

namespace mnv3::engine {

/// The rows of two blocks of channels that are computed, then convolved, then forgotten.
struct Window {
  std::int64_t out_rows;  ///< Output rows per turn.
  std::int64_t slots;     ///< Input rows that are kept.
  std::int64_t border;    ///< Zero columns on each side.
  std::int64_t row_floats;

  constexpr std::int64_t block_floats() const { return slots * row_floats; }
};

inline constexpr int window_blocks = 2;
/// What the rows of a window should take: they stay in the first or second cache level.
inline constexpr std::int64_t window_floats = 32 * 1024 / sizeof(float);

constexpr Window window_of(const Conv2dNormActivationConfig& depthwise, const Extent& in) {
  const std::int64_t border = padding_of(depthwise);
  const std::int64_t row_floats = (in.width + 2 * border) * block_lanes;
  const std::int64_t reach = std::int64_t{depthwise.dilation} * (depthwise.kernel - 1) + 1;
  const std::int64_t rows = window_floats / (row_floats * window_blocks);
  const std::int64_t wanted =
      std::max<std::int64_t>((rows - reach) / depthwise.stride.height + 1, 1);
  const std::int64_t out_rows = std::min(wanted, output_size(depthwise, in.height, Axis::height));
  return {out_rows, (out_rows - 1) * depthwise.stride.height + reach, border, row_floats};
}

/// Pixels of the closing convolution that are pooled at a time.
inline constexpr std::int64_t pooled_pixels = 224;
/// Pixels of the largest register tile of any instruction set.
inline constexpr int most_tile_rows = 14;

constexpr Extent output_extent(const Conv2dNormActivationConfig& conv, const Extent& in) {
  return {output_size(conv, in.height, Axis::height), output_size(conv, in.width, Axis::width)};
}

/// Zeros above the picture and on its left.
constexpr Extent padding_before(const Conv2dNormActivationConfig& conv, const Extent& in) {
  return {side_padding(conv, in.height, Axis::height).before,
          side_padding(conv, in.width, Axis::width).before};
}

/// Whether a block has a residual besides an activation after its projection: the one needs the
/// input where the other's sums are finished, so that these go elsewhere first.
constexpr bool adds_to_activated(const InvertedResidualConfig& row) {
  return has_residual(row) && row.projection_activation != Activation::none;
}

/// Three rows of the picture and one of zeros, with their borders.
constexpr std::int64_t stem_floats_of(const Definition& net, const Extent& picture) {
  return 4 * net.settings.input.channels * (picture.width + 2);
}

/// Whether the stem's output never exists as a whole: the first block takes its rows as they come,
/// and is done with them. Not where it is tapped, nor where squeeze-and-excitation needs all of the
/// depthwise output before the projection.
constexpr bool fuses_stem(const Definition& net, std::span<const TapInfo> taps) {
  if (taps.back().position < position_after(1) || !is_block(net, 1)) return false;
  const InvertedResidualConfig& row = row_of(net, 1);
  return !is_tapped(taps, position_after(0)) && !has_expansion(row) && !row.use_se &&
         !adds_to_activated(row) && blocks_of(row.expanded_channels) <= window_blocks;
}

/// Offsets, in floats, of what a task needs for the stem and the first block: the stem's own, a
/// window of its output, the depthwise output of one turn.
struct FusedStemMemory {
  std::int64_t window;
  std::int64_t depthwise;
  std::int64_t size;
};

template <class Stored>
constexpr FusedStemMemory fused_stem_memory(const Definition& net, const Extent& picture) {
  const InvertedResidualConfig& row = row_of(net, 1);
  const Conv2dNormActivationConfig conv = depthwise_of(row, net.settings);
  const Extent in = output_extent(stem_of(net), picture);
  const Window window = window_of(conv, in);
  FusedStemMemory memory{};
  memory.window = (stem_floats_of(net, picture) + block_lanes - 1) / block_lanes * block_lanes;
  memory.depthwise = memory.window + window_blocks * window.block_floats();
  memory.size =
      memory.depthwise +
      floats_for<Stored>(row.expanded_channels, window.out_rows * output_extent(conv, in).width);
  return memory;
}

/// Floats that a task needs for itself in one feature. Its windows are of floats.
template <class Stored>
constexpr std::int64_t task_floats_of(const Definition& net, int feature, const Extent& in) {
  if (feature == 0) return stem_floats_of(net, in);
  if (!is_block(net, feature)) return window_blocks * block_lanes * pooled_pixels;
  const InvertedResidualConfig& row = row_of(net, feature);
  const std::int64_t window =
      window_blocks * window_of(depthwise_of(row, net.settings), in).block_floats();
  return std::max(window,
                  row.use_se ? floats_for<Stored>(row.expanded_channels, most_tile_rows) : 0);
}

/// Offsets, in floats, of what one feature uses.
struct FeatureMemory {
  Extent in;
  Extent out;
  std::int64_t expanded;   ///< The tapped expansion.
  std::int64_t depthwise;  ///< Output of the depthwise or, if stored, a closing convolution; the
                           ///< last one's are floats.
  std::int64_t end;
};

/// Offsets, in floats, of what one picture needs.
template <std::size_t Features>
struct Memory {
  std::array<FeatureMemory, Features> features{};
  std::int64_t tasks = 0;        ///< Where the tasks' own parts begin.
  std::int64_t task_floats = 0;  ///< Size of each.
  std::int64_t row_sums = 0;     ///< [channels / 16][rows][16]: what squeeze-and-excitation pools.
  std::int64_t vectors = 0;      ///< Its means, what is squeezed, its gates.
  std::int64_t vector_floats = 0;  ///< Channels of the widest of them.
  std::int64_t size = 0;
};

/// The memory of a network with these taps for one picture, whose activations are kept as `Stored`,
/// worked on by `task_count` tasks.
template <std::size_t Features, class Stored>
constexpr Memory<Features> memory_of(const Definition& net, std::span<const TapInfo> taps,
                                     const Extent& picture, std::int64_t task_count) {
  Memory<Features> memory{};
  const int reach = taps.back().position;
  const int last = feature_count(net) - 1;
  Extent in = picture;
  std::int64_t widest = block_lanes;
  std::int64_t row_sums = 0;
  const bool fused = fuses_stem(net, taps);
  for (int i = 0; i < static_cast<int>(Features); ++i) {
    FeatureMemory& m = memory.features[static_cast<std::size_t>(i)];
    m.in = m.out = in;
    std::int64_t input = 0;
    std::int64_t middle = 0;
    if (i == 0) {
      m.out = output_extent(stem_of(net), in);
    } else if (!is_block(net, i)) {
      input = floats_for<Stored>(closing_of(net, i).in_channels, in.pixels());
      if (i != last || is_tapped(taps, position_after(i)))
        middle = i == last ? floats_of(output_channels(net, i), in.pixels())
                           : floats_for<Stored>(output_channels(net, i), in.pixels());
    } else {
      const InvertedResidualConfig& row = row_of(net, i);
      if (!fused || i > 1) input = floats_for<Stored>(row.input_channels, in.pixels());
      if (reach > position_of_expansion(i)) {
        m.out = output_extent(depthwise_of(row, net.settings), in);
        if (!fused || i > 1) middle = floats_for<Stored>(row.expanded_channels, m.out.pixels());
        if (adds_to_activated(row)) middle += floats_for<Stored>(row.out_channels, m.out.pixels());
      }
      if (row.use_se) {  // a large divisor can make it wider than what is squeezed
        const int narrow = squeeze_channels(row, net.settings.squeeze);
        widest = std::max({widest, floats_of(row.expanded_channels, 1), floats_of(narrow, 1)});
        row_sums = std::max(row_sums, floats_of(row.expanded_channels, m.out.height));
      }
    }
    const bool is_closing = i == last && net.settings.closing_layers > 0;
    const bool writes_features =
        !is_closing && reach > position_of_expansion(i) && !(fused && i == 0);
    m.expanded = std::max(
        input, writes_features ? floats_for<Stored>(output_channels(net, i), m.out.pixels()) : 0);
    m.depthwise = m.expanded;
    if (is_block(net, i) && is_tapped(taps, position_of_expansion(i)))
      m.depthwise += floats_for<Stored>(row_of(net, i).expanded_channels, in.pixels());
    m.end = m.depthwise + middle;
    memory.tasks = std::max(memory.tasks, m.end);
    memory.task_floats =
        std::max(memory.task_floats, fused && i == 1 ? fused_stem_memory<Stored>(net, picture).size
                                                     : task_floats_of<Stored>(net, i, in));
    in = m.out;
  }
  constexpr auto to_block = [](std::int64_t n) {
    return (n + block_lanes - 1) / block_lanes * block_lanes;
  };
  memory.task_floats = to_block(memory.task_floats);
  memory.row_sums = memory.tasks + task_count * memory.task_floats;
  memory.vectors = memory.row_sums + row_sums;
  memory.vector_floats = widest;
  memory.size = memory.vectors + 3 * widest;
  return memory;
}

/// Offsets, in floats, of the classifier's input, hidden layer and output for a batch, each
/// [channels / 16][batch][16].
struct ClassifierMemory {
  std::int64_t pooled = 0;
  std::int64_t hidden = 0;
  std::int64_t logits = 0;
  std::int64_t size = 0;
};

/// Whether a network that ends at `reach` has a hidden layer.
constexpr bool has_hidden(const Definition& net, int reach) {
  return net.settings.hidden_layer && reach >= position_of_embedding(net);
}

template <class Stored>
constexpr ClassifierMemory classifier_memory_of(const Definition& net, int reach,
                                                std::int64_t batch) {
  ClassifierMemory memory;
  if (reach < position_of_pooled(net)) return memory;
  memory.hidden = floats_for<Stored>(pooled_channels(net), batch);
  memory.logits = memory.hidden;
  if (has_hidden(net, reach)) memory.logits += floats_for<Stored>(net.settings.last_channel, batch);
  memory.size = memory.logits;
  if (reach == position_of_logits(net)) memory.size += floats_of(net.settings.num_classes, batch);
  return memory;
}

}  // namespace mnv3::engine
