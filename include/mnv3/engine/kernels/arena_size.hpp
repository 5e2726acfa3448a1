// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <mnv3/config/layers.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/plan.hpp>

// How much memory a batch runs in, and which batches are too large for any:
//
//   | classifier | picture | picture | ... as many as there are threads, or one that they share

namespace mnv3::engine {

/// Pictures that threads take one by one, without waiting for each other; they share the rest.
constexpr std::int64_t pictures_apart(std::int64_t threads, std::int64_t batch) {
  return threads == 1 ? 0 : batch / threads * threads;
}

/// What no quantity of a network's plan exceeds, in bytes, and usually falls far below: the widest
/// layer at the full size of the picture, as often as the plan has it, for each thread. In double,
/// which no size overflows.
template <class Layout>
constexpr double plan_bound(double height, double width, double threads, double batch) {
  struct Most {
    int channels = window_blocks * block_lanes;
    int padding = 1;
  };
  constexpr Most most = [] {
    Most found;
    found.channels = std::max(found.channels, 4 * Layout::net.settings.input.channels);
    for_each_layer(Layout::net, [&](const Layer& layer) {
      for (const int channels : {layer.conv.in_channels, layer.conv.out_channels})
        found.channels = std::max(found.channels, blocks_of(channels) * block_lanes);
      found.padding = std::max(found.padding, padding_of(layer.conv));
    });
    return found;
  }();
  const double pixels = (height + 2 * most.padding) * (width + 2 * most.padding);
  // A picture has its input or output, an expansion and a depthwise output; a task a window of
  // rows, or some pixels; everyone three vectors; the classifier three of them for each picture.
  const double for_each_channel = 6 * pixels + 2 * pooled_pixels + 3 * batch;
  return sizeof(float) * most.channels * (threads + 3) * for_each_channel;
}

/// Whether the plan of a network can be counted in 64 bits, with room to spare. No machine has as
/// much memory as the limit; what is refused was never meant.
template <class Layout>
constexpr bool has_plan(double height, double width, double threads, double batch) {
  return height >= 1 && width >= 1 && threads >= 1 && batch >= 1 &&
         plan_bound<Layout>(height, width, threads, batch) < 0x1p60;
}

[[noreturn]] inline void throw_no_plan(const Extent& picture, std::int64_t threads,
                                       std::int64_t batch) {
  throw std::invalid_argument(
      "mnv3: memory is counted for a height, a width, a number of threads and a batch of at least "
      "1 "
      "that need less than 2^60 bytes together, but was asked for with height " +
      std::to_string(picture.height) + ", width " + std::to_string(picture.width) + ", " +
      std::to_string(threads) + " threads and batch " + std::to_string(batch) +
      "; ask for smaller pictures or fewer at a time");
}

/// As `arena_floats_of`, for sizes that have a plan. `memory_of(tasks)` is that of a picture.
template <class Layout, class MemoryOf>
constexpr std::int64_t arena_floats_from(MemoryOf memory_of, std::int64_t threads,
                                         std::int64_t batch) {
  std::int64_t pictures = memory_of(threads).size;
  if (pictures_apart(threads, batch) > 0)
    pictures = std::max(pictures, threads * memory_of(std::int64_t{1}).size);
  return pictures +
         classifier_memory_of<typename Layout::Stored>(Layout::net, Layout::reach, batch).size;
}

/// Floats that running a batch asks for, beside weights, pictures and outputs.
///
/// Errors  std::invalid_argument, or no constant expression, if there is no plan for these sizes.
template <class Layout>
constexpr std::int64_t arena_floats_of(const Extent& picture, std::int64_t threads,
                                       std::int64_t batch) {
  if (!has_plan<Layout>(static_cast<double>(picture.height), static_cast<double>(picture.width),
                        static_cast<double>(threads), static_cast<double>(batch)))
    throw_no_plan(picture, threads, batch);
  return arena_floats_from<Layout>(
      [&](std::int64_t tasks) { return Layout::memory(picture, tasks); }, threads, batch);
}

}  // namespace mnv3::engine
