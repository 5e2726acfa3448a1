// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/deploy/threads.hpp>
#include <mnv3/engine/engine.hpp>
#include <mnv3/engine/frame.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/network_layout.hpp>
#include <mnv3/engine/output.hpp>

namespace mnv3::deployment {

/// An engine that takes and gives tensors: on the CPU, float32, on LibTorch's threads.
template <class Arch, class Taps, Precision precision>
class EngineOfTensors {
  using Runner = Engine<Arch, Taps, precision>;
  using Layout = typename Runner::Layout;

 public:
  using Outputs = std::array<torch::Tensor, Runner::count>;

  explicit EngineOfTensors(Runner runner) : engine_(std::move(runner)) {}

  /// Shapes  pictures: (N, C, H, W), float32, CPU, any strides; N may be 0. Outputs as those of the
  ///         module, in the layout of the input.
  Outputs operator()(const torch::Tensor& pictures) const {
    const auto extents = engine::output_extents<Layout>({pictures.size(2), pictures.size(3)});
    const auto options = torch::TensorOptions(torch::kFloat);
    const std::int64_t n = pictures.size(0);
    Outputs outputs;
    std::array<OutputView, Runner::count> views;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      torch::Tensor& output = outputs[i];
      output = Layout::taps[i].feature < 0
                   ? torch::empty({n, Runner::channels[i]}, options)
                   : torch::empty({n, Runner::channels[i], extents[i].height, extents[i].width},
                                  options, pictures.suggest_memory_format());
      views[i] = OutputView(output.data_ptr<float>(), static_cast<std::size_t>(output.numel()),
                            !output.is_contiguous());
    }
    const PictureView view{.data = pictures.data_ptr<float>(),
                           .batch = n,
                           .channels = pictures.size(1),
                           .height = pictures.size(2),
                           .width = pictures.size(3),
                           .batch_stride = pictures.stride(0),
                           .channel_stride = pictures.stride(1),
                           .row_stride = pictures.stride(2),
                           .column_stride = pictures.stride(3)};
    std::apply([&](const auto&... view_of) { engine_(torch_threads(), view, view_of...); }, views);
    return outputs;
  }

 private:
  Runner engine_;
};

}  // namespace mnv3::deployment
