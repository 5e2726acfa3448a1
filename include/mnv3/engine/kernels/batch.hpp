// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/arena_size.hpp>
#include <mnv3/engine/kernels/kernels.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/network_layout.hpp>
#include <mnv3/engine/kernels/picture_job.hpp>
#include <mnv3/engine/kernels/plan.hpp>
#include <mnv3/engine/kernels/split.hpp>
#include <mnv3/engine/kernels/unblock.hpp>
#include <mnv3/engine/threads.hpp>

// Batches through a network, in one block of memory.

namespace mnv3::engine {

struct Batch {
  const float* weights;
  std::int64_t size;  ///< Pictures; at least 1.
  Extent extent;      ///< Of each.
  float* arena;       ///< Room for `arena_floats_of`.
};

/// The memory of a network for such pictures and tasks, counted again only where a thread's last
/// call had others. By value: a call within a call may have others.
template <class Layout>
typename Layout::Memory planned(const Extent& picture, std::int64_t tasks) {
  struct Plan {
    Extent picture{};
    std::int64_t tasks = 0;
    typename Layout::Memory memory{};
  };
  thread_local std::array<Plan, 2> plans;  // for a picture of one task, and for a shared one
  Plan& plan = plans[tasks == 1 ? 0 : 1];
  if (plan.picture != picture || plan.tasks != tasks)
    plan = {picture, tasks, Layout::memory(picture, tasks)};
  return plan.memory;
}

/// `arena_floats_of` from what is planned.
template <class Layout>
std::int64_t planned_floats(const Extent& picture, std::int64_t threads, std::int64_t batch) {
  return arena_floats_from<Layout>(
      [&](std::int64_t tasks) { return planned<Layout>(picture, tasks); }, threads, batch);
}

/// Runs a batch. `picture_at(i)` gives the `Picture` i, `outputs_at(i)` the array of what its taps
/// write; pooled, embedding and logits write rows one after the other, from those of picture 0 on.
/// `Stored` is what activations are kept as, which the weights are packed for.
template <architecture Arch, class Taps, class Stored = float, class PictureAt, class OutputsAt>
void run_batch(Isa isa, const Batch& batch, const Threads& threads, PictureAt picture_at,
               OutputsAt outputs_at) {
  using Layout = NetworkLayout<Arch, Taps, Stored>;
  using Memory = typename Layout::Memory;
  const std::int64_t apart = pictures_apart(threads.count, batch.size);
  const Memory whole = planned<Layout>(batch.extent, threads.count);
  const Memory alone = planned<Layout>(batch.extent, 1);
  const ClassifierMemory classifier =
      classifier_memory_of<Stored>(Layout::net, Layout::reach, batch.size);
  float* const arena = batch.arena;
  float* const rest = arena + classifier.size;
  auto* const pooled = reinterpret_cast<Stored*>(arena + classifier.pooled);
  auto* const hidden = reinterpret_cast<Stored*>(arena + classifier.hidden);

  with_kernels<Arch, Taps, Stored>(isa, [&]<class Network> {
    const auto job = [&](std::int64_t i, float* memory, const Memory& plan) {
      return PictureJob<Layout>{.weights = batch.weights,
                                .picture = picture_at(i),
                                .outputs = outputs_at(i),
                                .arena = memory,
                                .memory = plan,
                                .pooled = pooled + i * block_lanes,
                                .pooled_block_stride = batch.size * block_lanes};
    };
    if (apart > 0)
      threads(threads.count, [&](std::int64_t t) {
        const std::int64_t end = part(apart, t + 1, threads.count);
        for (std::int64_t i = part(apart, t, threads.count); i < end; ++i)
          Network::run_features(job(i, rest + t * alone.size, alone), Threads{});
      });
    for (std::int64_t i = apart; i < batch.size; ++i)
      Network::run_features(job(i, rest, whole), threads);
    Network::run_classifier({.weights = batch.weights,
                             .batch = batch.size,
                             .pooled = pooled,
                             .hidden = hidden,
                             .logits = arena + classifier.logits},
                            threads);
  });

  const auto give_out = [&](int position, const auto* blocks) {
    const int index = tap_index(Layout::taps, position);
    if (index < 0) return;
    const auto i = static_cast<std::size_t>(index);
    const int channels = Layout::taps[i].channels;
    for (int b = 0; b < blocks_of(channels); ++b)
      unblock(blocks + b * batch.size * block_lanes, batch.size, b * block_lanes,
              std::min(block_lanes, channels - b * block_lanes), channels,
              {.data = outputs_at(0)[i].data, .channels_last = true});
  };
  give_out(position_of_pooled(Layout::net), pooled);
  if (Layout::has_hidden) give_out(position_of_embedding(Layout::net), hidden);
  give_out(position_of_logits(Layout::net), arena + classifier.logits);
}

}  // namespace mnv3::engine
