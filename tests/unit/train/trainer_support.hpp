// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/optim/adamw.h>
#include <torch/types.h>

#include <mnv3/config.hpp>
#include <mnv3/nn.hpp>
#include <mnv3/train/data/batch.hpp>
#include <mnv3/weights/state_dict.hpp>

/// A small network with batch norm and dropout, so that random numbers matter.
struct TrainedArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 16, 8, true, RE, 2, 1},
      {8, 5, 24, 16, false, HS, 1, 1},
  });
  static constexpr mnv3::Settings settings{.num_classes = 4, .last_channel = 32, .dropout = 0.3};
};
using TrainedNet = mnv3::MobileNetV3<TrainedArch>;

/// Pictures of noise with a bright place that their class decides, in an order that follows from
/// seed and epoch. Each batch is mirrored or not as LibTorch's random generator says.
class Pictures {
 public:
  explicit Pictures(std::int64_t count, std::int64_t batch_size = 8, std::int64_t seed = 1,
                    bool mirrors = true)
      : batch_size_(batch_size), seed_(seed), mirrors_(mirrors) {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(5);
    labels_ = torch::arange(count).remainder(4);
    pictures_ = torch::rand({count, 3, 16, 16}, generator);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = 4 * (i % 4);
      pictures_[i].narrow(1, row, 4).add_(0.7);
    }
  }

  std::int64_t batches() const { return (labels_.size(0) + batch_size_ - 1) / batch_size_; }
  std::int64_t batch_size() const { return batch_size_; }
  std::int64_t seed() const { return seed_; }

  void start(std::int64_t epoch, std::int64_t first_batch) {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(
        static_cast<std::uint64_t>(1000 * seed_ + epoch));
    order_ = torch::randperm(labels_.size(0), generator);
    next_ = first_batch * batch_size_;
    torch::rand({});  // a source may draw here, too
  }

  std::optional<mnv3::train::Batch> next() {
    if (next_ >= labels_.size(0)) return std::nullopt;
    if (before_batch) before_batch();
    const torch::Tensor chosen =
        order_.narrow(0, next_, std::min(batch_size_, labels_.size(0) - next_));
    next_ += batch_size_;
    torch::Tensor pictures = pictures_.index_select(0, chosen);
    if (mirrors_ && torch::rand({}).item<float>() < 0.5F) pictures = pictures.flip(3);
    mnv3::train::Batch batch;
    batch.pictures = pictures.to(type);
    batch.labels = labels_.index_select(0, chosen);
    return batch;
  }

  std::function<void()> before_batch{};  ///< Called for each batch.
  torch::Dtype type = torch::kFloat;

 private:
  std::int64_t batch_size_, seed_;
  bool mirrors_;
  torch::Tensor pictures_, labels_, order_;
  std::int64_t next_ = 0;
};

/// What AdamW remembers of each parameter, in the order of the parameters.
inline mnv3::NamedTensors memory_of(torch::optim::AdamW& optimizer) {
  const auto& state = optimizer.state();
  using Key = std::decay_t<decltype(state.begin()->first)>;
  const auto key_of = [](const torch::Tensor& parameter) {
    void* const address = parameter.unsafeGetTensorImpl();
    if constexpr (std::is_same_v<Key, std::string>)
      return fmt::format("{}", fmt::ptr(address));
    else
      return address;
  };
  mnv3::NamedTensors tensors;
  std::size_t i = 0;
  for (const auto& group : optimizer.param_groups())
    for (const torch::Tensor& parameter : group.params()) {
      const auto found = state.find(key_of(parameter));
      if (found == state.end()) continue;
      const auto& its = static_cast<const torch::optim::AdamWParamState&>(*found->second);
      tensors.emplace_back(fmt::format("memory.{}.exp_avg", i), its.exp_avg());
      tensors.emplace_back(fmt::format("memory.{}.exp_avg_sq", i), its.exp_avg_sq());
      tensors.emplace_back(fmt::format("memory.{}.step", i), torch::tensor(its.step()));
      ++i;
    }
  return tensors;
}
