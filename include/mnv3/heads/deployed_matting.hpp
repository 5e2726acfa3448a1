// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <torch/types.h>

#include <mnv3/deploy/deployed.hpp>
#include <mnv3/deploy/threads.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/heads/frames.hpp>
#include <mnv3/heads/guided_filter.hpp>
#include <mnv3/heads/packed_decoder.hpp>
#include <mnv3/heads/robust_video_matting.hpp>
#include <mnv3/heads/stretched_matte.hpp>
#include <mnv3/nn/requires_grad.hpp>

namespace mnv3 {

namespace heads {

/// A convolution, with the batch norm after it if there is one, as scale and shift of its sums.
struct FoldedConvolution {
  torch::Tensor weight;  ///< (O, I, K, K), double, contiguous.
  torch::Tensor scale;   ///< (O)
  torch::Tensor shift;   ///< (O)

  explicit FoldedConvolution(const torch::nn::Conv2dImpl& conv,
                             const torch::nn::BatchNorm2dImpl* norm = nullptr) {
    const auto as_double = [](const torch::Tensor& x) {
      return x.detach().to(torch::kCPU, torch::kDouble).contiguous();
    };
    weight = as_double(conv.weight);
    scale = torch::ones({weight.size(0)}, torch::kDouble);
    shift = conv.bias.defined() ? as_double(conv.bias) : torch::zeros_like(scale);
    if (!norm) return;
    scale = as_double(norm->weight) / (as_double(norm->running_var) + norm->options.eps()).sqrt();
    shift = as_double(norm->bias) + (shift - as_double(norm->running_mean)) * scale;
  }

  PackedConvolution packed(const Parts& parts, engine::Finish finish) const {
    const auto values = [](const torch::Tensor& x) {
      return std::span<const double>(x.data_ptr<double>(), static_cast<std::size_t>(x.numel()));
    };
    return {values(weight),
            static_cast<int>(weight.size(0)),
            static_cast<int>(weight.size(2)),
            parts,
            values(scale),
            values(shift),
            finish};
  }
};

/// The convolution at `index` of a sequence, with the batch norm after it if there is one.
inline FoldedConvolution folded(torch::nn::Sequential& sequence, std::size_t index) {
  const auto* norm = index + 1 < sequence->size()
                         ? sequence->ptr(index + 1)->as<torch::nn::BatchNorm2d>()
                         : nullptr;
  return FoldedConvolution(*sequence->ptr(index)->as<torch::nn::Conv2d>(), norm);
}

inline PackedGru packed(ConvGru& gru) {
  const int c = static_cast<int>(gru->channels());
  return {folded(gru->ih, 0).packed({c, c}, engine::Finish::linear),
          folded(gru->hh, 0).packed({c, c}, engine::Finish::linear)};
}

/// The weights of `decoder`, on features with the channels `features` (at the strides 2 to 16).
inline DecoderWeights packed(RecurrentDecoder& decoder, const std::array<int, 4>& features,
                             int source, Projection& project) {
  using engine::Finish;
  DecoderWeights weights;
  weights.source_channels = source;
  weights.units = {packed(decoder->decode4->gru), packed(decoder->decode3->gru),
                   packed(decoder->decode2->gru), packed(decoder->decode1->gru)};
  const std::array blocks{&decoder->decode3, &decoder->decode2, &decoder->decode1};
  for (std::size_t i = 0; i < blocks.size(); ++i)
    weights.joined[i] = folded((*blocks[i])->conv, 0)
                            .packed({weights.width_of(i), features[2 - i], source}, Finish::relu);
  weights.output[0] =
      folded(decoder->decode0->conv, 0).packed({weights.width_of(3), source}, Finish::relu);
  weights.output[1] =
      folded(decoder->decode0->conv, 3).packed({weights.output[0].out()}, Finish::relu);
  weights.project =
      FoldedConvolution(*project->conv).packed({weights.output[1].out()}, Finish::linear);
  return weights;
}

}  // namespace heads

/// A matting network ready for inference, float32 on the CPU: the backbone as `deploy` makes it, the
/// decoder on the engine's kernels with its batch norms folded in. It holds copies of the weights; any
/// number of threads may call one object at once, each with a state of its own.
template <class Backbone, class Refiner>
class DeployedMatting {
  static auto deployed_backbone(const Backbone& backbone) {
    if constexpr (requires { deploy(backbone); }) {
      return deploy(backbone);
    } else {
      using Contained = std::remove_cvref_t<decltype(*backbone)>;
      Backbone copy(std::dynamic_pointer_cast<Contained>(backbone->clone()));
      copy->eval();
      return copy;
    }
  }

 public:
  using State = MattingState;

  /// What `deploy` makes.
  explicit DeployedMatting(RobustVideoMatting<Backbone, Refiner>& matting)
      : backbone_(deployed_backbone(matting->backbone)),
        refiner_(
            std::dynamic_pointer_cast<typename Refiner::ContainedType>(matting->refiner->clone())) {
    const torch::NoGradGuard no_grad;
    for (const torch::Tensor& parameter : matting->parameters())
      TORCH_CHECK(
          parameter.scalar_type() == torch::kFloat && parameter.device().is_cpu(),
          "mnv3: a matting network is deployed in float32 on the CPU, but has parameters of ",
          parameter.scalar_type(), " on ", parameter.device(),
          "; convert it with matting->to(...)");
    refiner_->eval();
    const std::array<int, 4> channels{Backbone::channels[0], Backbone::channels[1],
                                      Backbone::channels[2], matting->options().aspp};
    matte_ = heads::packed(matting->decoder, channels, 3, matting->project_mat);
    const heads::Parts pooled{Backbone::channels[3]};
    matte_.values = heads::folded(matting->aspp->aspp1, 0).packed(pooled, engine::Finish::relu);
    matte_.gate = heads::folded(matting->aspp->aspp2, 1).packed(pooled, engine::Finish::linear);
    segments_ = matte_;
    segments_.project = heads::FoldedConvolution(*matting->project_seg->conv)
                            .packed({matte_.output[1].out()}, engine::Finish::linear);
    isa_ = selected_isa(Precision::same);
  }

  /// As the module's `forward`, with the same state.
  ///
  /// Shapes  As the module's. Results in the layout of the frames.
  /// Errors  As the module's; c10::Error if the frames are not float32 on the CPU.
  /// Grad    None.
  Matte operator()(const torch::Tensor& frames, State& state, double downsample_ratio = 1) const {
    const torch::NoGradGuard no_grad;
    const Scaled scaled = scale(frames, downsample_ratio);
    const torch::Tensor& flat = scaled.frames;
    const torch::Tensor& small = scaled.small;
    const auto like = [&](const torch::Tensor& x, std::int64_t channels) {
      return torch::empty({x.size(0), channels, x.size(2), x.size(3)}, x.options(),
                          flat.suggest_memory_format());
    };
    const bool refines = downsample_ratio != 1;
    torch::Tensor foreground = like(small, 3);
    torch::Tensor alpha = like(small, 1);
    torch::Tensor hidden;
    if (refines)
      hidden = torch::empty({small.size(0), matte_.output[1].out(), small.size(2), small.size(3)},
                            small.options(), torch::MemoryFormat::ChannelsLast);
    const auto pixels = [](torch::Tensor& x) {
      return Strided{x.data_ptr<float>(), x.strides().vec()};
    };
    const Strided to_foreground = pixels(foreground);
    const Strided to_alpha = pixels(alpha);
    const float* const source = small.data_ptr<float>();
    const std::int64_t height = small.size(2);
    const std::int64_t width = small.size(3);
    decode(matte_, scaled, state, hidden, [&](std::int64_t n, std::int64_t y, const float* row) {
      const float* from = source + (n * height + y) * width * 3;
      const auto within = [](float x) { return std::min(std::max(x, 0.0F), 1.0F); };
      for (int c = 0; c < 3; ++c) {
        float* const to = to_foreground.at(n, c, y);
        if (refines)
          for (std::int64_t x = 0; x < width; ++x)
            to[x * to_foreground.strides[3]] = row[x * engine::block_lanes + c];
        else
          for (std::int64_t x = 0; x < width; ++x)
            to[x * to_foreground.strides[3]] =
                within(row[x * engine::block_lanes + c] + from[x * 3 + c]);
      }
      float* const to = to_alpha.at(n, 0, y);
      for (std::int64_t x = 0; x < width; ++x) {
        const float value = row[x * engine::block_lanes + 3];
        to[x * to_alpha.strides[3]] = refines ? value : within(value);
      }
    });
    if (refines)
      std::tie(foreground, alpha) =
          stretch(flat, refiner_->fit({small, foreground, alpha, hidden}));
    return {as_given(foreground, frames), as_given(alpha, frames)};
  }

  /// As the module's `segment`.
  torch::Tensor segment(const torch::Tensor& frames, State& state,
                        double downsample_ratio = 1) const {
    const torch::NoGradGuard no_grad;
    const Scaled scaled = scale(frames, downsample_ratio);
    const std::int64_t width = scaled.small.size(3);
    torch::Tensor logits = torch::empty({scaled.small.size(0), 1, scaled.small.size(2), width},
                                        scaled.small.options());
    float* const to = logits.data_ptr<float>();
    decode(segments_, scaled, state, {}, [&](std::int64_t n, std::int64_t y, const float* row) {
      float* const line = to + (n * logits.size(2) + y) * width;
      for (std::int64_t x = 0; x < width; ++x) line[x] = row[x * engine::block_lanes];
    });
    return as_given(logits, frames);
  }

 private:
  struct Strided {
    float* data;
    std::vector<std::int64_t> strides;
    float* at(std::int64_t n, std::int64_t c, std::int64_t y) const {
      return data + n * strides[0] + c * strides[1] + y * strides[2];
    }
  };

  struct Scaled {
    torch::Tensor frames;  ///< (N, 3, H, W), as given.
    torch::Tensor small;   ///< The same or smaller, channels last.
    std::int64_t videos;
  };

  Scaled scale(const torch::Tensor& frames, double ratio) const {
    heads::MattingInput::check(frames, ratio);
    TORCH_CHECK(frames.scalar_type() == torch::kFloat && frames.device().is_cpu(),
                "mnv3: a deployed matting network takes float32 on the CPU, but was given ",
                frames.scalar_type(), " on ", frames.device(), "; convert with frames.to(...)");
    const torch::Tensor flat = frames.dim() == 5 ? frames.flatten(0, 1) : frames;
    const torch::Tensor small = ratio == 1 ? flat : heads::resize_by(flat, ratio);
    return {flat, last(small), frames.size(0)};
  }

  /// Foreground and alpha of the frames, from the matte of the small ones.
  std::tuple<torch::Tensor, torch::Tensor> stretch(const torch::Tensor& frames,
                                                   const heads::LinearMatte& small) const {
    const torch::Tensor both = last(torch::cat({small.slope, small.offset}, 1));  // (N, 8, H, W)
    const torch::Tensor foreground = torch::empty_like(frames);
    const torch::Tensor alpha =
        torch::empty({frames.size(0), 1, frames.size(2), frames.size(3)}, frames.options());
    const auto planes = [](const torch::Tensor& x, std::int64_t n) {
      return heads::Planes<float>{x.data_ptr<float>() + n * x.stride(0), x.stride(1), x.stride(2),
                                  x.stride(3)};
    };
    const Threads threads = deployment::torch_threads();
    for (std::int64_t n = 0; n < frames.size(0); ++n) {
      const heads::Planes<float> source = planes(frames, n);
      heads::stretch_matte(
          isa_,
          {.coefficients = both.data_ptr<float>() + n * both.stride(0),
           .height = both.size(2),
           .width = both.size(3),
           .source = {source.data, source.channel_stride, source.row_stride, source.column_stride},
           .foreground = planes(foreground, n),
           .alpha = planes(alpha, n),
           .large_height = frames.size(2),
           .large_width = frames.size(3)},
          threads);
    }
    return {foreground, alpha};
  }

  static torch::Tensor last(const torch::Tensor& x) {
    return x.contiguous(torch::MemoryFormat::ChannelsLast);
  }
  static torch::Tensor as_given(const torch::Tensor& x, const torch::Tensor& frames) {
    return frames.dim() == 5 ? x.unflatten(0, {frames.size(0), frames.size(1)}) : x;
  }

  template <class Use>
  void decode(const heads::DecoderWeights& weights, const Scaled& scaled, State& state,
              torch::Tensor hidden, Use use) const {
    auto backbone = backbone_;  // a holder of a module is called as no constant
    std::array<torch::Tensor, 4> features = backbone(scaled.small);
    const std::int64_t videos = scaled.videos;
    const std::int64_t length = videos == 0 ? 0 : scaled.small.size(0) / videos;
    std::array<std::int64_t, 4> channels{};
    for (std::size_t i = 0; i < channels.size(); ++i) channels[i] = weights.width_of(3 - i) / 2;
    heads::MattingInput::check_state(state.recurrent, torch::empty({videos, 0}), features,
                                     channels);
    for (torch::Tensor& feature : features) feature = last(feature);
    std::array<torch::Tensor, 4> sources{scaled.small};
    for (std::size_t i = 1; i < sources.size(); ++i)
      sources[i] = last(heads::halve(sources[i - 1]));

    heads::RecurrentStates next;
    for (std::size_t i = 0; i < next.size(); ++i)
      next[i] = torch::empty({videos, channels[i], features[i].size(2), features[i].size(3)},
                             features[i].options(), torch::MemoryFormat::ChannelsLast);
    heads::RecurrentStates before;
    for (std::size_t i = 0; i < next.size(); ++i)
      if (state.recurrent[i].defined()) before[i] = last(state.recurrent[i]);
    const auto picture = [](const torch::Tensor& x, std::int64_t n) {
      return x.data_ptr<float>() + n * x.size(1) * x.size(2) * x.size(3);
    };
    const Threads threads = deployment::torch_threads();
    for (std::int64_t v = 0; v < videos; ++v)
      for (std::int64_t t = 0; t < length; ++t) {
        const std::int64_t n = v * length + t;
        heads::DecoderFrame frame;
        for (std::size_t b = 0; b < 4; ++b) {  // from stride 16 on
          const std::size_t i = 3 - b;
          const auto view = [&](const torch::Tensor& x) {
            return heads::PixelsView{picture(x, n), static_cast<int>(x.size(1)), x.size(2),
                                     x.size(3)};
          };
          frame.features[b] = view(features[i]);
          frame.sources[b] = view(sources[i]);
          frame.next_states[b] = picture(next[i], v);
          frame.states[b] = t > 0                 ? frame.next_states[b]
                            : before[i].defined() ? picture(before[i], v)
                                                  : nullptr;
        }
        if (hidden.defined()) frame.hidden = picture(hidden, n);
        heads::decode(isa_, weights, frame, threads,
                      [&](std::int64_t y, const float* row) { use(n, y, row); });
      }
    state.recurrent = std::move(next);
  }

  using DeployedBackbone = decltype(deployed_backbone(std::declval<const Backbone&>()));

  DeployedBackbone backbone_;
  std::shared_ptr<typename Refiner::ContainedType> refiner_;
  heads::DecoderWeights matte_;
  heads::DecoderWeights segments_;
  Isa isa_;
};

/// A copy of `matting` for inference; see DeployedMatting.
///
/// Errors  c10::Error if it is not float32 on the CPU; as `deploy` of its backbone.
template <class Backbone, class Refiner>
DeployedMatting<Backbone, Refiner> deploy(RobustVideoMatting<Backbone, Refiner>& matting) {
  return DeployedMatting<Backbone, Refiner>(matting);
}

}  // namespace mnv3
