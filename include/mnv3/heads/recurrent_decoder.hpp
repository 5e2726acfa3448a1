// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <mnv3/heads/conv_gru.hpp>
#include <mnv3/heads/frames.hpp>

// RobustVideoMatting's decoder: from stride 16 to 1, a recurrent unit on half of the channels at each
// stride but the last.
//
// Source  RobustVideoMatting model/decoder.py, as published (arXiv:2108.11515, section 3.2).

namespace mnv3::heads {

/// The recurrent states of a decoder's four units, from stride 2 to 16.
using RecurrentStates = std::array<torch::Tensor, 4>;

/// Half of the channels through a recurrent unit; the others stay as they are.
inline std::tuple<torch::Tensor, torch::Tensor> recur_on_half(ConvGru& gru, const torch::Tensor& x,
                                                              const torch::Tensor& state) {
  const auto halves = x.chunk(2, -3);
  auto [second, next] = gru->forward(halves[1], state);
  return {join({halves[0], second}), next};
}

/// The decoder's block at the backbone's last stride.
class BottleneckBlockImpl final : public torch::nn::Cloneable<BottleneckBlockImpl> {
 public:
  explicit BottleneckBlockImpl(std::int64_t channels) : channels_(channels) { reset(); }
  void reset() override { gru = register_module("gru", ConvGru(channels_ / 2)); }

  std::tuple<torch::Tensor, torch::Tensor> forward(const torch::Tensor& x,
                                                   const torch::Tensor& state) {
    return recur_on_half(gru, x, state);
  }

  ConvGru gru{nullptr};

 private:
  std::int64_t channels_;
};
TORCH_MODULE(BottleneckBlock);

/// 3x3 convolution, batch norm, ReLU: `to`, appended.
inline void append_conv_norm_relu(torch::nn::Sequential& to, std::int64_t in, std::int64_t out) {
  to->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1).bias(false)));
  to->push_back(torch::nn::BatchNorm2d(out));
  to->push_back(torch::nn::ReLU(torch::nn::ReLUOptions(/*inplace=*/true)));
}

/// Twice as large, cut to the size of `like`: where that was odd there is a row or column too many.
inline torch::Tensor upsample_to(const torch::Tensor& x, const torch::Tensor& like) {
  return for_each_frame(x, [&](const torch::Tensor& frames) {
    return resize_by(frames, 2.0).slice(2, 0, like.size(-2)).slice(3, 0, like.size(-1));
  });
}

/// From one stride to half of it, with the backbone's output and the source there.
class UpsamplingBlockImpl final : public torch::nn::Cloneable<UpsamplingBlockImpl> {
 public:
  UpsamplingBlockImpl(std::int64_t in, std::int64_t skip, std::int64_t source, std::int64_t out)
      : in_(in + skip + source), out_(out) {
    reset();
  }
  void reset() override {
    conv = torch::nn::Sequential();
    append_conv_norm_relu(conv, in_, out_);
    register_module("conv", conv);
    gru = register_module("gru", ConvGru(out_ / 2));
  }

  std::tuple<torch::Tensor, torch::Tensor> forward(const torch::Tensor& x,
                                                   const torch::Tensor& skip,
                                                   const torch::Tensor& source,
                                                   const torch::Tensor& state) {
    const torch::Tensor joined = join({upsample_to(x, source), skip, source});
    return recur_on_half(
        gru, for_each_frame(joined, [&](const auto& frames) { return conv->forward(frames); }),
        state);
  }

  torch::nn::Sequential conv{nullptr};
  ConvGru gru{nullptr};

 private:
  std::int64_t in_;
  std::int64_t out_;
};
TORCH_MODULE(UpsamplingBlock);

/// The last step, to the size of the frame, without recurrence.
class OutputBlockImpl final : public torch::nn::Cloneable<OutputBlockImpl> {
 public:
  OutputBlockImpl(std::int64_t in, std::int64_t source, std::int64_t out)
      : in_(in + source), out_(out) {
    reset();
  }
  void reset() override {
    conv = torch::nn::Sequential();
    append_conv_norm_relu(conv, in_, out_);
    append_conv_norm_relu(conv, out_, out_);
    register_module("conv", conv);
  }

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& source) {
    return for_each_frame(join({upsample_to(x, source), source}),
                          [&](const auto& frames) { return conv->forward(frames); });
  }

  torch::nn::Sequential conv{nullptr};

 private:
  std::int64_t in_;
  std::int64_t out_;
};
TORCH_MODULE(OutputBlock);

/// Half as large, rounded up; what is beyond the border does not count.
inline torch::Tensor halve(const torch::Tensor& x) {
  return for_each_frame(x, [](const torch::Tensor& frames) {
    return torch::avg_pool2d(frames, 2, 2, 0, /*ceil_mode=*/true, /*count_include_pad=*/false);
  });
}

/// The whole decoder.
class RecurrentDecoderImpl final : public torch::nn::Cloneable<RecurrentDecoderImpl> {
 public:
  /// `features` are channels at the strides 2, 4, 8 and 16, `source` those of the frame, `out` what
  /// the blocks at 8, 4, 2 and 1 give.
  RecurrentDecoderImpl(const std::array<int, 4>& features, int source,
                       const std::array<int, 4>& out)
      : features_(features), source_(source), out_(out) {
    for (std::size_t i = 0; i < 3; ++i)
      TORCH_CHECK(
          out[i] > 0 && out[i] % 2 == 0, "mnv3: each decoder block but the last has an even ",
          "number of channels, half of which are recurrent, but block ", i, " has ", out[i]);
    TORCH_CHECK(out[3] > 0 && features[3] % 2 == 0, "mnv3: the decoder's last block has at least ",
                "one channel, and its input an even number of them, but they have ", out[3],
                " and ", features[3]);
    reset();
  }

  void reset() override {
    decode4 = register_module("decode4", BottleneckBlock(features_[3]));
    decode3 =
        register_module("decode3", UpsamplingBlock(features_[3], features_[2], source_, out_[0]));
    decode2 = register_module("decode2", UpsamplingBlock(out_[0], features_[1], source_, out_[1]));
    decode1 = register_module("decode1", UpsamplingBlock(out_[1], features_[0], source_, out_[2]));
    decode0 = register_module("decode0", OutputBlock(out_[2], source_, out_[3]));
  }

  /// Shapes  source: (B, C, H, W) or (B, T, C, H, W); features: at the strides 2, 4, 8 and 16 of it.
  ///         Result: as the source, with the last block's channels. `states` become those after the
  ///         last frame.
  torch::Tensor forward(const torch::Tensor& source, const std::array<torch::Tensor, 4>& features,
                        RecurrentStates& states) {
    const torch::Tensor half = halve(source);
    const torch::Tensor quarter = halve(half);
    const torch::Tensor eighth = halve(quarter);
    RecurrentStates next;
    torch::Tensor x;
    std::tie(x, next[3]) = decode4->forward(features[3], states[3]);
    std::tie(x, next[2]) = decode3->forward(x, features[2], eighth, states[2]);
    std::tie(x, next[1]) = decode2->forward(x, features[1], quarter, states[1]);
    std::tie(x, next[0]) = decode1->forward(x, features[0], half, states[0]);
    x = decode0->forward(x, source);
    states = std::move(next);
    return x;
  }

  /// Channels of the recurrent states, from stride 2 to 16.
  std::array<std::int64_t, 4> state_channels() const {
    return {out_[2] / 2, out_[1] / 2, out_[0] / 2, features_[3] / 2};
  }
  std::int64_t out_channels() const { return out_[3]; }

  BottleneckBlock decode4{nullptr};
  UpsamplingBlock decode3{nullptr};
  UpsamplingBlock decode2{nullptr};
  UpsamplingBlock decode1{nullptr};
  OutputBlock decode0{nullptr};

 private:
  std::array<int, 4> features_;
  int source_;
  std::array<int, 4> out_;
};
TORCH_MODULE(RecurrentDecoder);

}  // namespace mnv3::heads
