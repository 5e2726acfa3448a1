// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/stride.hpp>

// What the features of a network are, and how large what comes out of them is.

namespace mnv3 {

/// The stride of `features.0`, in every network.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L160-169.
inline constexpr Stride stem_stride{2};

/// Number of children of `features`: the stem, one for each row, the closing 1x1 convolutions.
constexpr int feature_count(const Definition& net) {
  return static_cast<int>(net.blocks.size()) + 1 + net.settings.closing_layers;
}

/// Whether `features.<feature>` is a block, not the stem or a closing convolution.
constexpr bool is_block(const Definition& net, int feature) {
  return feature >= 1 && feature <= static_cast<int>(net.blocks.size());
}

/// The row of `features.<feature>`, which must be a block.
constexpr const InvertedResidualConfig& row_of(const Definition& net, int feature) {
  return net.blocks[static_cast<std::size_t>(feature - 1)];
}

/// Whether a stage begins with `features.<feature>`, which must be a block.
constexpr bool begins_stage(const Definition& net, int feature) {
  if (feature == 1) return true;
  const auto i = static_cast<std::size_t>(feature - 1);
  if (!net.settings.stages.empty()) return net.settings.stages[i] != net.settings.stages[i - 1];
  return net.blocks[i].stride != 1 ||
         net.blocks[i].out_channels != net.blocks[i - 1].out_channels;
}

/// The stage of `features.<feature>`, which must be a block: what timm's names tell.
constexpr int stage_of(const Definition& net, int feature) {
  int stage = 0;
  for (int i = 2; i <= feature; ++i) stage += begins_stage(net, i);
  return stage;
}

/// Output stride of `features.<feature>`: input pixels for each output pixel.
constexpr Stride output_stride(const Definition& net, int feature) {
  Stride stride = stem_stride;
  for (int i = 1; i <= feature && is_block(net, i); ++i)
    stride = stride * depthwise_stride(row_of(net, i));
  return stride;
}

/// Output channels of `features.<feature>`.
constexpr int output_channels(const Definition& net, int feature) {
  if (is_block(net, feature)) return row_of(net, feature).out_channels;
  if (feature == 0) return net.blocks.front().input_channels;
  if (net.settings.closing_channels != 0) return net.settings.closing_channels;
  return 6 * net.blocks.back().out_channels;  // torchvision 0.14.1 models/mobilenetv3.py L177
}

/// Channels of the last feature, which are pooled.
constexpr int pooled_channels(const Definition& net) {
  return output_channels(net, feature_count(net) - 1);
}

/// Width of what the last Linear reads.
constexpr int embedding_channels(const Definition& net) {
  return net.settings.hidden_layer ? net.settings.last_channel.value() : pooled_channels(net);
}

}  // namespace mnv3
