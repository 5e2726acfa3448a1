// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include <torch/types.h>

namespace mnv3::train {

/// Pictures and what they show.
struct Batch {
  torch::Tensor pictures;  ///< (N, C, H, W)
  torch::Tensor labels;    ///< (N), int64, or (N, classes), shares of classes.
};

/// What gives the batches of an epoch, one after the other.
template <class Source>
concept batch_source = requires(Source& source, std::int64_t number) {
  { source.batches() } -> std::convertible_to<std::int64_t>;
  source.start(number, number);
  { source.next() } -> std::same_as<std::optional<Batch>>;
};

}  // namespace mnv3::train
