// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include <torch/types.h>

namespace mnv3::train {

/// What one step trains on.
struct Batch {
  torch::Tensor pictures;  ///< (N, C, H, W)
  torch::Tensor labels;    ///< (N), int64; or (N, classes), the shares that `mixup` gives.
  torch::Tensor indices;   ///< (N), int64: where each sample stands in its set.

  std::int64_t size() const { return labels.size(0); }
};

/// What a trainer takes its batches from.
///
/// `batches()` says how many an epoch has, on this rank. `start(epoch, first_batch)` begins an
/// epoch, or goes on with one: what comes then is a function of the two numbers alone, bit by bit,
/// so that a resumed run sees what it would have seen. `next()` gives the batches one after the
/// other, and nothing after the last one.
template <class Source>
concept batch_source = requires(Source& source, const Source& fixed, std::int64_t number) {
  { fixed.batches() } -> std::same_as<std::int64_t>;
  source.start(number, number);
  { source.next() } -> std::same_as<std::optional<Batch>>;
};

}  // namespace mnv3::train
