// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

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
  /// The sum of each output row of each channel, [channels / 16][rows][16].
  float* row_sums() const { return arena + memory.row_sums; }
  Stored* means() const { return stored_at(memory.vectors); }
  Stored* squeezed() const { return stored_at(memory.vectors + memory.vector_floats); }
  float* gates() const { return arena + memory.vectors + 2 * memory.vector_floats; }
};

}  // namespace mnv3::engine
