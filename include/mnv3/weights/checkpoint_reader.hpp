// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include <torch/types.h>

#include <mnv3/weights/checkpoint_file.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/tensors/arena.hpp>
#include <mnv3/weights/tensors/torch_dtype.hpp>
#include <mnv3/weights/tensors/torch_errors.hpp>

namespace mnv3 {

/// A weights file whose tensors LibTorch gets.
///
/// Errors  WeightsError, as `CheckpointFile`.
class CheckpointReader : public CheckpointFile {
 public:
  using CheckpointFile::CheckpointFile;
  explicit CheckpointReader(CheckpointFile file) : CheckpointFile(std::move(file)) {}

  /// Reads one tensor. It is on the CPU, has the strides it was saved with, and owns its memory.
  /// Safe to call from several threads.
  torch::Tensor read(const TensorEntry& entry) const { return read(std::span(&entry, 1)).front(); }

  /// Reads these tensors, each as above. What is read of the file, `CheckpointFile::copy` says.
  std::vector<torch::Tensor> read(std::span<const TensorEntry> entries) const {
    weights::Arena none(0);
    return read(entries, none);
  }

  /// The same in the memory of `arena`, while it has any.
  std::vector<torch::Tensor> read(std::span<const TensorEntry> entries,
                                  weights::Arena& arena) const {
    std::vector<torch::Tensor> tensors;
    copy(entries, [&](const TensorEntry& entry, std::size_t bytes) {
      return weights::with_weights_errors([&] {
        tensors.push_back(
            arena.empty(entry.shape, entry.strides, weights::scalar_type_of(entry.dtype), bytes));
        return tensors.back().data_ptr();
      });
    });
    return tensors;
  }

  /// How many bytes of an arena a tensor needs.
  std::size_t arena_bytes(const TensorEntry& entry) const {
    return weights::Arena::rounded(span_bytes(entry));
  }
};

}  // namespace mnv3
