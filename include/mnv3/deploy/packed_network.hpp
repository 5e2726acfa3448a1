// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/engine/arena.hpp>
#include <mnv3/deploy/fold.hpp>
#include <mnv3/engine/kernels/arena_size.hpp>
#include <mnv3/engine/kernels/batch.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/network_layout.hpp>
#include <mnv3/engine/kernels/packed.hpp>
#include <mnv3/engine/threads.hpp>
#include <mnv3/engine/views.hpp>
#include <mnv3/deploy/threads.hpp>

namespace mnv3::deployment {

inline std::span<const double> values_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<double>(), static_cast<std::size_t>(tensor.numel())};
}

/// All weights as the kernels read them, for activations kept as `Stored`.
template <class Stored>
AlignedFloats pack_layers(const Definition& net, std::span<const TapInfo> taps, std::int64_t size,
                          const std::vector<FoldedLayer>& layers) {
  AlignedFloats weights(size);
  auto layer = layers.begin();
  std::int64_t next = 0;
  engine::for_each_matrix(net, taps, [&](const engine::LayerMatrix& matrix) {
    const engine::MatrixPlace place = engine::place_at<Stored>(next, matrix);
    next = place.end();
    if (!is_same(matrix.layer, layer->layer)) ++layer;
    const FoldedProduct& product = matrix.part == 0 ? layer->product : layer->excite;
    engine::pack(place,
                  {.values = values_of(product.weight),
                   .start = values_of(product.start),
                   .scale = values_of(product.scale),
                   .shift = values_of(product.shift)},
                  {weights.data(), static_cast<std::size_t>(size)});
  });
  return weights;
}

/// A network on our own kernels: on the CPU, from float32 to float32, with activations and the
/// weights they are multiplied by kept as `Stored`.
///
/// It has no state: any number of threads may call one object at once.
template <architecture Arch, class Taps, class Stored>
class PackedNetwork {
 public:
  using Layout = engine::NetworkLayout<Arch, Taps, Stored>;
  using Outputs = std::array<torch::Tensor, Layout::taps.size()>;

  PackedNetwork(const std::vector<FoldedLayer>& layers, Isa isa)
      : weights_(pack_layers<Stored>(Layout::net, Layout::taps, Layout::places.size, layers)),
        isa_(isa) {
    const Input& input = Layout::net.settings.input;
    for (const double mean : input.mean) mean_.push_back(static_cast<float>(mean));
    for (const double std : input.std) std_.push_back(static_cast<float>(std));
  }

  /// Shapes  pictures: (N, C, H, W), float32, CPU, any strides; N may be 0. Outputs as those of the
  ///         module, in the layout of the input.
  Outputs operator()(const torch::Tensor& pictures) const {
    const std::int64_t batch = pictures.size(0);
    const engine::Extent extent{pictures.size(2), pictures.size(3)};
    const engine::Threads threads = torch_threads();
    Outputs outputs = allocate(pictures, extent);
    if (batch == 0) return outputs;
    engine::run_batch<Arch, Taps, Stored>(
        isa_,
        {.weights = weights_.data(),
         .size = batch,
         .extent = extent,
         .arena = use_arena(engine::arena_floats_of<Layout>(extent, threads.count, batch))},
        threads, [&](std::int64_t i) { return view(pictures, i); },
        [&](std::int64_t i) { return view(outputs, i); });
    return outputs;
  }

  Isa isa() const { return isa_; }
  std::int64_t weight_bytes() const {
    return weights_.size() * static_cast<std::int64_t>(sizeof(float));
  }

 private:
  static Outputs allocate(const torch::Tensor& pictures, const engine::Extent& extent) {
    Outputs outputs;
    const std::int64_t n = pictures.size(0);
    const auto options = torch::TensorOptions(torch::kFloat);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const TapInfo& tap = Layout::taps[i];
      const engine::Extent out = engine::output_extent<Layout>(i, extent);
      outputs[i] = tap.feature < 0 ? torch::empty({n, tap.channels}, options)
                                   : torch::empty({n, tap.channels, out.height, out.width}, options,
                                                  pictures.suggest_memory_format());
    }
    return outputs;
  }

  engine::Picture view(const torch::Tensor& pictures, std::int64_t picture) const {
    return {.data = pictures.data_ptr<float>() + picture * pictures.stride(0),
            .channel_stride = pictures.stride(1),
            .row_stride = pictures.stride(2),
            .column_stride = pictures.stride(3),
            .mean = mean_.empty() ? nullptr : mean_.data(),
            .std = std_.empty() ? nullptr : std_.data()};
  }

  static std::array<engine::Output, Layout::taps.size()> view(const Outputs& outputs,
                                                               std::int64_t picture) {
    std::array<engine::Output, Layout::taps.size()> views;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const torch::Tensor& x = outputs[i];
      views[i] = {.data = x.data_ptr<float>() + picture * x.stride(0),
                  .channels_last = !x.is_contiguous()};
    }
    return views;
  }

  AlignedFloats weights_;
  std::vector<float> mean_, std_;  // empty where the caller normalises
  Isa isa_;
};

}  // namespace mnv3::deployment
