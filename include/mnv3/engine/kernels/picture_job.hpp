// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <mnv3/engine/threads.hpp>
#include <mnv3/engine/views.hpp>

namespace mnv3::engine {

/// One picture through a network.
template <class Layout>
struct PictureJob {
  using Stored = typename Layout::Stored;

  const float* weights;
  Picture picture;
  std::array<Output, Layout::taps.size()> outputs;
  float* arena;
  const typename Layout::Memory& memory;
  Stored* pooled;  ///< This picture's place in the classifier's input.
  std::ptrdiff_t pooled_block_stride;

  /// Activations `offset` floats after the beginning.
  Stored* stored_at(std::int64_t offset) const { return reinterpret_cast<Stored*>(arena + offset); }
  float* scratch_of(std::int64_t task) const {
    return arena + memory.tasks + task * memory.task_floats;
  }
  Stored* scaled_of(std::int64_t task) const { return reinterpret_cast<Stored*>(scratch_of(task)); }
  /// The sum over pixels of each channel, as far as the task saw them.
  float* sums_of(std::int64_t task) const { return arena + memory.sums + task * memory.sum_floats; }
  Stored* means(const Threads& threads) const {
    return reinterpret_cast<Stored*>(sums_of(threads.count));
  }
  Stored* squeezed(const Threads& threads) const {
    return reinterpret_cast<Stored*>(sums_of(threads.count + 1));
  }
  float* gates(const Threads& threads) const { return sums_of(threads.count + 2); }
};

}  // namespace mnv3::engine
