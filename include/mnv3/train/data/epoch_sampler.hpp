// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <torch/data/samplers/base.h>

#include <mnv3/train/augment/random_stream.hpp>

namespace mnv3::train {

/// How an epoch becomes batches.
struct Batching {
  std::int64_t batch_size = 32;  ///< On each rank; the batch of all together is `ranks` times it.
  bool shuffle = true;           ///< Otherwise every epoch goes through the set from its beginning.
  /// What is left over at the end is dropped. Otherwise it is a smaller batch. If it cannot be
  /// dealt out evenly to several ranks, samples from the epoch's beginning join it, as Python's
  /// DistributedSampler has it: all ranks must have equally many batches of equal sizes.
  bool drop_last = false;
  std::uint64_t seed = 0;
  int rank = 0;
  int ranks = 1;
  /// False: no sample is there twice, so that ranks may have unequal batches: for evaluation.
  bool even = true;

  std::int64_t global_batch_size() const { return batch_size * ranks; }

  /// In an epoch of a set of `size`, on each rank.
  std::int64_t batches(std::int64_t size) const {
    if (!drop_last && !even)
      return size / global_batch_size() + (rank < size % global_batch_size() ? 1 : 0);
    return drop_last ? size / global_batch_size()
                     : (size + global_batch_size() - 1) / global_batch_size();
  }

  /// Errors  std::invalid_argument if a number is not one, or an epoch would have no batch.
  void check(std::int64_t size) const {
    if (batch_size < 1)
      throw std::invalid_argument(
          fmt::format("mnv3: the batch size is {}, but must be at least 1", batch_size));
    if (ranks < 1 || rank < 0 || rank >= ranks)
      throw std::invalid_argument(
          fmt::format("mnv3: rank {} of {} does not exist; ranks count from 0", rank, ranks));
    if (size < 1) throw std::invalid_argument("mnv3: the set is empty; give at least one sample");
    if (batches(size) < 1 && even)
      throw std::invalid_argument(
          fmt::format("mnv3: a batch of {} ({} on each of {} ranks) is larger than the set of {}, "
                      "and drop_last "
                      "drops it; take smaller batches, or keep the last one",
                      global_batch_size(), batch_size, ranks, size));
  }
};

/// The order in which an epoch goes through a set: a function of seed and epoch alone.
inline std::vector<std::int64_t> epoch_order(std::int64_t size, std::uint64_t seed,
                                             std::int64_t epoch, bool shuffle = true) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (!shuffle) return order;
  RandomStream random(seed, epoch);
  for (std::int64_t left = size; left > 1; --left)
    std::swap(order[static_cast<std::size_t>(left - 1)],
              order[static_cast<std::size_t>(random.below(left))]);
  return order;
}

/// The batches of one epoch on one rank, for LibTorch's data loader. Of the batch that all ranks
/// train on together, rank r takes samples r, r + ranks, r + 2 ranks, ...: together they take what
/// one process with the whole batch would.
class EpochSampler {
 public:
  using BatchRequestType = std::vector<std::size_t>;
  /// LibTorch's own optional, or the standard one, by its version.
  using Request = decltype(std::declval<torch::data::samplers::Sampler<>&>().next(0));

  /// Errors  As `Batching::check`; std::invalid_argument if `first_batch` is not in the epoch.
  EpochSampler(std::int64_t size, const Batching& batching, std::int64_t epoch,
               std::int64_t first_batch = 0)
      : batching_(batching), next_(first_batch) {
    batching.check(size);
    batches_ = batching.batches(size);
    if (first_batch < 0 || first_batch > batches_)
      throw std::invalid_argument(
          fmt::format("mnv3: an epoch of {} batches cannot go on at batch {}; where it stopped was "
                      "noted with another set or another batch size",
                      batches_, first_batch));
    order_ = epoch_order(size, batching.seed, epoch, batching.shuffle);
  }

  /// What a data loader does before it begins. Where to begin was said to the constructor.
  void reset() {}

  /// The next batch, of `Batching::batch_size`, or nothing.
  Request next(std::size_t = 0) {
    if (next_ == batches_) return {};
    const auto size = static_cast<std::int64_t>(order_.size());
    const std::int64_t begin = next_++ * batching_.global_batch_size();
    const std::int64_t left = std::min(batching_.global_batch_size(), size - begin);
    const std::int64_t dealt =
        batching_.even ? (left + batching_.ranks - 1) / batching_.ranks * batching_.ranks : left;
    BatchRequestType batch;
    for (std::int64_t i = batching_.rank; i < dealt; i += batching_.ranks)
      batch.push_back(
          static_cast<std::size_t>(order_[static_cast<std::size_t>((begin + i) % size)]));
    return batch;
  }

 private:
  Batching batching_;
  std::int64_t next_, batches_ = 0;
  std::vector<std::int64_t> order_;
};

}  // namespace mnv3::train
