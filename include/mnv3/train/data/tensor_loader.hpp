// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <torch/types.h>

#include <mnv3/train/augment/random_stream.hpp>
#include <mnv3/train/data/batch.hpp>
#include <mnv3/train/data/epoch_sampler.hpp>

namespace mnv3::train {

struct TensorLoaderOptions {
  Batching batching{};
  /// What is done to a batch before it is trained on; see train/augment/batch.hpp. The stream is a
  /// function of seed, epoch and batch, and the same on all ranks.
  std::function<void(Batch&, RandomStream&)> transform{};
  /// Bytes become floats in [0, 1], after `transform`.
  bool scale_bytes = true;
};

/// Batches of pictures that are in memory as one tensor; a `batch_source`.
class TensorLoader {
 public:
  /// Shapes  pictures: (N, ...), of any type; labels: (N), int64.
  /// Errors  c10::Error if the shapes or types are others, or, if the number of `classes` is given,
  ///         if a label is not below it; std::invalid_argument as `Batching::check`.
  TensorLoader(torch::Tensor pictures, torch::Tensor labels, TensorLoaderOptions options = {},
               std::optional<std::int64_t> classes = std::nullopt)
      : pictures_(std::move(pictures)), labels_(std::move(labels)), options_(std::move(options)) {
    TORCH_CHECK(pictures_.defined() && labels_.defined() && pictures_.dim() >= 1 &&
                    labels_.dim() == 1 && labels_.scalar_type() == torch::kLong &&
                    pictures_.size(0) == labels_.size(0),
                "mnv3: TensorLoader takes pictures of shape (N, ...) and labels of shape (N) and "
                "type int64, but was given ",
                shape_of(pictures_), " and ", shape_of(labels_));
    options_.batching.check(labels_.size(0));
    if (labels_.numel() == 0) return;
    const auto least = labels_.min().item<std::int64_t>(),
               most = labels_.max().item<std::int64_t>();
    TORCH_CHECK(least >= 0 && (!classes || most < *classes), "mnv3: labels go from ", least, " to ",
                most, ", but must be from 0 on and below the number of classes",
                classes ? ", " + std::to_string(*classes) : std::string());
  }

  std::int64_t size() const { return labels_.size(0); }
  std::int64_t batches() const { return options_.batching.batches(size()); }
  /// What a training that goes on must have again.
  std::int64_t batch_size() const { return options_.batching.batch_size; }
  std::uint64_t seed() const { return options_.batching.seed; }
  int rank() const { return options_.batching.rank; }
  int ranks() const { return options_.batching.ranks; }

  void start(std::int64_t epoch, std::int64_t first_batch = 0) {
    sampler_.emplace(size(), options_.batching, epoch, first_batch);
    epoch_ = epoch;
    batch_ = first_batch;
  }

  /// Errors  std::logic_error before the first `start`.
  std::optional<Batch> next() {
    if (!sampler_) throw std::logic_error("mnv3: call start(epoch, first_batch) before next()");
    const auto chosen = sampler_->next();
    if (!chosen) return std::nullopt;
    torch::Tensor indices = torch::empty({static_cast<std::int64_t>(chosen->size())}, torch::kLong);
    std::int64_t* out = indices.data_ptr<std::int64_t>();
    for (const std::size_t index : *chosen) *out++ = static_cast<std::int64_t>(index);
    const auto rows_of = [&](const torch::Tensor& all) {
      return all.index_select(0, indices.to(all.device()));
    };
    Batch batch{.pictures = rows_of(pictures_), .labels = rows_of(labels_), .indices = indices};
    RandomStream random(options_.batching.seed, epoch_, batch_++);
    if (options_.transform) options_.transform(batch, random);
    if (options_.scale_bytes && batch.pictures.scalar_type() == torch::kByte)
      batch.pictures = batch.pictures.to(torch::kFloat).div_(255);
    return batch;
  }

 private:
  static std::string shape_of(const torch::Tensor& x) {
    if (!x.defined()) return "nothing";
    return c10::str(x.sizes(), " of ", x.scalar_type());
  }

  torch::Tensor pictures_, labels_;
  TensorLoaderOptions options_;
  std::optional<EpochSampler> sampler_;
  std::int64_t epoch_ = 0, batch_ = 0;
};

static_assert(batch_source<TensorLoader>);

}  // namespace mnv3::train
