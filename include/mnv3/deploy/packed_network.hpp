// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/deploy/arena.hpp>
#include <mnv3/deploy/fold.hpp>
#include <mnv3/deploy/kernels/kernels.hpp>
#include <mnv3/deploy/threads.hpp>

namespace mnv3::detail {

inline std::span<const double> values_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<double>(), static_cast<std::size_t>(tensor.numel())};
}

/// All weights as the kernels read them.
inline AlignedFloats pack_layers(const Definition& net, std::span<const TapInfo> taps,
                                 std::int64_t size, const std::vector<FoldedLayer>& layers) {
  AlignedFloats weights(size);
  auto layer = layers.begin();
  std::int64_t next = 0;
  for_each_matrix(net, taps, [&](const LayerMatrix& matrix) {
    const MatrixPlace place = place_at(next, matrix);
    next = place.end();
    if (matrix.layer.name.view() != layer->layer.name.view()) ++layer;
    const FoldedProduct& product = matrix.part == 0 ? layer->product : layer->excite;
    pack(place,
         {.values = values_of(product.weight),
          .start = values_of(product.start),
          .scale = values_of(product.scale),
          .shift = values_of(product.shift)},
         {weights.data(), static_cast<std::size_t>(size)});
  });
  return weights;
}

/// A network on our own kernels: float32, CPU.
///
/// It has no state: any number of threads may call one object at once.
template <architecture Arch, class Taps>
class PackedNetwork {
 public:
  using Layout = NetworkLayout<Arch, Taps>;
  using Outputs = std::array<torch::Tensor, Layout::taps.size()>;

  PackedNetwork(const std::vector<FoldedLayer>& layers, Isa isa)
      : weights_(pack_layers(Layout::net, Layout::taps, Layout::places.size, layers)), isa_(isa) {
    const Input& input = Layout::net.settings.input;
    for (const double mean : input.mean) mean_.push_back(static_cast<float>(mean));
    for (const double std : input.std) std_.push_back(static_cast<float>(std));
  }

  /// What `operator()` asks of the arena.
  static constexpr std::int64_t arena_floats(const Extent& picture, std::int64_t threads,
                                             std::int64_t batch) {
    std::int64_t pictures = Layout::memory(picture, threads).size;
    if (pictures_apart(threads, batch) > 0)
      pictures = std::max(pictures, threads * Layout::memory(picture, 1).size);
    return pictures + classifier_memory_of(Layout::net, Layout::reach, batch).size;
  }

  /// Shapes  pictures: (N, C, H, W), float32, CPU, any strides; N may be 0. Outputs as those of the
  ///         module, in the layout of the input.
  Outputs operator()(const torch::Tensor& pictures) const {
    const std::int64_t batch = pictures.size(0);
    const Extent extent{pictures.size(2), pictures.size(3)};
    const Threads threads = torch_threads();
    const typename Layout::Memory whole = Layout::memory(extent, threads.count);
    Outputs outputs = allocate(pictures, whole);
    if (batch == 0) return outputs;

    const std::int64_t apart = pictures_apart(threads.count, batch);
    const typename Layout::Memory alone = Layout::memory(extent, 1);
    const ClassifierMemory classifier = classifier_memory_of(Layout::net, Layout::reach, batch);
    float* const arena = use_arena(arena_floats(extent, threads.count, batch));
    float* const rest = arena + classifier.size;

    with_kernels<Arch, Taps>(isa_, [&]<class Network> {
      const auto job = [&](std::int64_t picture, float* memory,
                           const typename Layout::Memory& plan) {
        return PictureJob<Layout>{.weights = weights_.data(),
                                  .picture = view(pictures, picture),
                                  .outputs = view(outputs, picture),
                                  .arena = memory,
                                  .memory = plan,
                                  .pooled = arena + classifier.pooled + picture * block_lanes,
                                  .pooled_block_stride = batch * block_lanes};
      };
      if (apart > 0)
        threads(threads.count, [&](std::int64_t t) {
          const std::int64_t end = part(apart, t + 1, threads.count);
          for (std::int64_t i = part(apart, t, threads.count); i < end; ++i)
            Network::run_features(job(i, rest + t * alone.size, alone), Threads{});
        });
      for (std::int64_t i = apart; i < batch; ++i)
        Network::run_features(job(i, rest, whole), threads);
      Network::run_classifier({.weights = weights_.data(),
                               .batch = batch,
                               .pooled = arena + classifier.pooled,
                               .hidden = arena + classifier.hidden,
                               .logits = arena + classifier.logits},
                              threads);
    });
    give_out(position_of_embedding(Layout::net), arena + classifier.hidden, outputs);
    give_out(position_of_logits(Layout::net), arena + classifier.logits, outputs);
    return outputs;
  }

  Isa isa() const { return isa_; }
  std::int64_t weight_bytes() const {
    return weights_.size() * static_cast<std::int64_t>(sizeof(float));
  }

 private:
  /// Pictures that threads take one by one, without waiting for each other; they share the rest.
  static constexpr std::int64_t pictures_apart(std::int64_t threads, std::int64_t batch) {
    return threads == 1 ? 0 : batch / threads * threads;
  }

  static Outputs allocate(const torch::Tensor& pictures, const typename Layout::Memory& memory) {
    Outputs outputs;
    const auto format = pictures.suggest_memory_format();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const TapInfo& tap = Layout::taps[i];
      const std::int64_t n = pictures.size(0);
      const auto options = torch::TensorOptions(torch::kFloat);
      if (tap.feature < 0) {
        outputs[i] = torch::empty({n, tap.channels}, options);
        continue;
      }
      const FeatureMemory& m = memory.features[static_cast<std::size_t>(tap.feature)];
      const Extent& extent = tap.position == position_of_expansion(tap.feature) ? m.in : m.out;
      outputs[i] = torch::empty({n, tap.channels, extent.height, extent.width}, options, format);
    }
    return outputs;
  }

  Picture view(const torch::Tensor& pictures, std::int64_t picture) const {
    return {.data = pictures.data_ptr<float>() + picture * pictures.stride(0),
            .channel_stride = pictures.stride(1),
            .row_stride = pictures.stride(2),
            .column_stride = pictures.stride(3),
            .mean = mean_.empty() ? nullptr : mean_.data(),
            .std = std_.empty() ? nullptr : std_.data()};
  }

  static std::array<Output, Layout::taps.size()> view(const Outputs& outputs,
                                                      std::int64_t picture) {
    std::array<Output, Layout::taps.size()> views;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const torch::Tensor& x = outputs[i];
      if (x.dim() == 4)
        views[i] = {.data = x.data_ptr<float>() + picture * x.stride(0),
                    .channels_last = !x.is_contiguous()};
    }
    return views;
  }

  static void give_out(int position, const float* blocks, const Outputs& outputs) {
    const int index = Layout::tap_index(position);
    if (index < 0) return;
    const torch::Tensor& x = outputs[static_cast<std::size_t>(index)];
    const auto channels = static_cast<int>(x.size(1));
    for (int b = 0; b < blocks_of(channels); ++b)
      unblock(blocks + b * x.size(0) * block_lanes, x.size(0), b * block_lanes,
              std::min(block_lanes, channels - b * block_lanes), channels,
              {.data = x.data_ptr<float>(), .channels_last = true});
  }

  AlignedFloats weights_;
  std::vector<float> mean_, std_;  // empty where the caller normalises
  Isa isa_;
};

}  // namespace mnv3::detail
