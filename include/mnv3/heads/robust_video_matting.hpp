// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/pooling.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/heads/feature_backbone.hpp>
#include <mnv3/heads/frames.hpp>
#include <mnv3/heads/guided_filter.hpp>
#include <mnv3/heads/recurrent_decoder.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/load.hpp>

namespace mnv3 {

namespace heads {

/// RVM's LR-ASPP: one 1x1 convolution, gated by another of the frame's mean.
///
/// Source  RobustVideoMatting model/lraspp.py, as published (arXiv:2108.11515, section 3.1).
class MattingAsppImpl final : public torch::nn::Cloneable<MattingAsppImpl> {
 public:
  MattingAsppImpl(std::int64_t in, std::int64_t out) : in_(in), out_(out) { reset(); }

  void reset() override {
    namespace nn = torch::nn;
    const auto conv = [&] { return nn::Conv2d(nn::Conv2dOptions(in_, out_, 1).bias(false)); };
    aspp1 = register_module("aspp1", nn::Sequential(conv(), nn::BatchNorm2d(out_),
                                                    nn::ReLU(nn::ReLUOptions(/*inplace=*/true))));
    aspp2 =
        register_module("aspp2", nn::Sequential(nn::AdaptiveAvgPool2d(1), conv(), nn::Sigmoid()));
  }

  /// Shapes  x: (..., in, H, W), one or two dimensions of frames. Result: (..., out, H, W).
  torch::Tensor forward(const torch::Tensor& x) {
    return for_each_frame(x, [&](const torch::Tensor& frames) {
      return aspp1->forward(frames) * aspp2->forward(frames);
    });
  }

  torch::nn::Sequential aspp1{nullptr};
  torch::nn::Sequential aspp2{nullptr};

 private:
  std::int64_t in_;
  std::int64_t out_;
};
TORCH_MODULE(MattingAspp);

/// A 1x1 convolution of each frame.
class ProjectionImpl final : public torch::nn::Cloneable<ProjectionImpl> {
 public:
  ProjectionImpl(std::int64_t in, std::int64_t out) : in_(in), out_(out) { reset(); }
  void reset() override {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(in_, out_, 1)));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return for_each_frame(x, [&](const torch::Tensor& frames) { return conv->forward(frames); });
  }

  torch::nn::Conv2d conv{nullptr};

 private:
  std::int64_t in_;
  std::int64_t out_;
};
TORCH_MODULE(Projection);

}  // namespace heads

/// What a matting network remembers of the frames before: start with an empty one for each video, and
/// hand it to every call. A copy of it is a bookmark.
struct MattingState {
  heads::RecurrentStates recurrent;  ///< At the strides 2, 4, 8 and 16: (B, C, H, W).

  bool is_empty() const { return !recurrent[0].defined(); }
  /// Forgets all frames: for the next video, or where the size of the frames changes.
  void reset() { recurrent = {}; }
};

/// A matte: `auto [foreground, alpha] = ...`.
struct Matte {
  torch::Tensor foreground;  ///< (..., 3, H, W), in [0, 1].
  torch::Tensor alpha;       ///< (..., 1, H, W), in [0, 1].
};

/// The widths of the parts after the backbone.
///
/// Source  RobustVideoMatting model/model.py: those of the published MobileNetV3 network.
struct MattingOptions {
  int aspp = 128;
  std::array<int, 4> decoder{80, 40, 32, 16};  ///< At the strides 8, 4, 2 and 1.
};

namespace heads {

/// Refuses frames that no matting network takes, and a state of others; gives the size they are
/// scaled to.
///
/// Errors  c10::Error.
struct MattingInput {
  static constexpr std::int64_t least = 16;

  static std::array<std::int64_t, 2> check(const torch::Tensor& frames, double ratio) {
    TORCH_CHECK(frames.dim() == 4 || frames.dim() == 5,
                "mnv3: frames are (B, 3, H, W) or (B, T, 3, ", "H, W), but have the sizes ",
                frames.sizes());
    TORCH_CHECK(frames.size(-3) == 3, "mnv3: frames are RGB, with 3 channels, but have the sizes ",
                frames.sizes());
    TORCH_CHECK(frames.dim() == 4 || frames.size(1) > 0,
                "mnv3: a sequence has at least one frame, ", "but these have the sizes ",
                frames.sizes());
    TORCH_CHECK(ratio > 0 && ratio <= 1,
                "mnv3: the downsample ratio is above 0 and at most 1, but ", "is ", ratio,
                "; 1 runs the network on the frames as they are");
    const auto scaled = [&](std::int64_t size) {
      return static_cast<std::int64_t>(static_cast<double>(size) * ratio);
    };
    const std::array<std::int64_t, 2> size{scaled(frames.size(-2)), scaled(frames.size(-1))};
    TORCH_CHECK(std::min(size[0], size[1]) >= least, "mnv3: the network needs at least ", least,
                " x ", least, " pixels, but frames of ", frames.size(-2), " x ", frames.size(-1),
                " with the downsample ratio ", ratio, " are ", size[0], " x ", size[1],
                "; choose a larger ratio or larger frames");
    return size;
  }

  static void check_state(const RecurrentStates& states, const torch::Tensor& frames,
                          const std::array<torch::Tensor, 4>& features,
                          const std::array<std::int64_t, 4>& channels) {
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (!states[i].defined()) continue;
      const std::array<std::int64_t, 4> needed{frames.size(0), channels[i], features[i].size(-2),
                                               features[i].size(-1)};
      TORCH_CHECK(states[i].sizes() == torch::IntArrayRef(needed), "mnv3: the state is of other ",
                  "frames: at stride ", 2 << i, " it has the sizes ", states[i].sizes(), ", but ",
                  "these frames need ", torch::IntArrayRef(needed),
                  "; where the number or size of ",
                  "the frames or the downsample ratio changes, begin with `state.reset()`");
    }
  }
};

}  // namespace heads

/// RobustVideoMatting: who stands in front of what, frame by frame, with a memory.
///
/// Child modules and tensors have the published network's names, so that its files load as they are.
/// The backbone may be any with outputs at the strides 2, 4, 8 and 16; the refiner is
/// `DeepGuidedFilter` or `FastGuidedFilter`.
///
/// Source  RobustVideoMatting model/model.py, as published (arXiv:2108.11515).
template <class Backbone, class Refiner>
class RobustVideoMattingImpl final
    : public torch::nn::Cloneable<RobustVideoMattingImpl<Backbone, Refiner>> {
 public:
  using State = MattingState;

  explicit RobustVideoMattingImpl(const MattingOptions& options = {})
      : RobustVideoMattingImpl(Backbone(), options) {}
  /// On a backbone that it shares.
  explicit RobustVideoMattingImpl(Backbone the_backbone, const MattingOptions& options = {})
      : backbone(std::move(the_backbone)), options_(options) {
    register_children();
  }

  void reset() override {
    using Contained = std::remove_reference_t<decltype(*backbone)>;
    backbone = Backbone(std::dynamic_pointer_cast<Contained>(backbone->clone()));
    register_children();
  }

  /// The matte of frames, and in `state` what to hand to the call with the next ones. With a
  /// `downsample_ratio` below 1 the network sees smaller frames, and the refiner brings the matte to
  /// their full size.
  ///
  /// Shapes  frames: (B, 3, H, W), or (B, T, 3, H, W): T frames in their order of each of B videos.
  ///         Results: as the frames, with 3 channels and 1.
  /// Units   RGB in [0, 1], as are the results.
  /// Errors  c10::Error if the frames are no such, smaller than 16 x 16 after scaling, or others
  ///         than those of the state; if the ratio is not in (0, 1]. The state is then as it was.
  /// Grad    Participates in autograd, through the frames of a sequence and, unless they are
  ///         detached, the states.
  Matte forward(const torch::Tensor& frames, State& state, double downsample_ratio = 1) {
    heads::RecurrentStates next = state.recurrent;
    const auto [small, hidden] = decode(frames, next, downsample_ratio);
    const torch::Tensor projected = project_mat->forward(hidden);
    torch::Tensor residual = projected.slice(-3, 0, 3);
    torch::Tensor alpha = projected.slice(-3, 3, 4);
    if (downsample_ratio != 1)
      std::tie(residual, alpha) = refine(frames, small, residual, alpha, hidden);
    state.recurrent = std::move(next);
    return {(residual + frames).clamp(0, 1), alpha.clamp(0, 1)};
  }

  /// The segmentation that RVM is trained with beside mattes: logits, of the scaled frames.
  ///
  /// Shapes  Result: as the scaled frames, with 1 channel.
  torch::Tensor segment(const torch::Tensor& frames, State& state, double downsample_ratio = 1) {
    heads::RecurrentStates next = state.recurrent;
    const torch::Tensor logits =
        project_seg->forward(std::get<1>(decode(frames, next, downsample_ratio)));
    state.recurrent = std::move(next);
    return logits;
  }

  void pretty_print(std::ostream& stream) const override { stream << "RobustVideoMatting"; }

  const MattingOptions& options() const { return options_; }

  Backbone backbone;
  heads::MattingAspp aspp{nullptr};
  heads::RecurrentDecoder decoder{nullptr};
  heads::Projection project_mat{nullptr};
  heads::Projection project_seg{nullptr};
  Refiner refiner{nullptr};

 private:
  void register_children() {
    constexpr auto& channels = Backbone::channels;
    this->register_module("backbone", backbone);
    aspp = this->register_module("aspp", heads::MattingAspp(channels[3], options_.aspp));
    decoder = this->register_module(
        "decoder", heads::RecurrentDecoder(
                       std::array<int, 4>{channels[0], channels[1], channels[2], options_.aspp}, 3,
                       options_.decoder));
    const std::int64_t hidden = decoder->out_channels();
    project_mat = this->register_module("project_mat", heads::Projection(hidden, 4));
    project_seg = this->register_module("project_seg", heads::Projection(hidden, 1));
    refiner = this->register_module("refiner", Refiner(hidden));
  }

  /// The frames as the network saw them, and the decoder's output for them.
  std::tuple<torch::Tensor, torch::Tensor> decode(const torch::Tensor& frames,
                                                  heads::RecurrentStates& states, double ratio) {
    nn::check_children(*this, {backbone.get(), aspp.get(), decoder.get(), project_mat.get(),
                               project_seg.get(), refiner.get()});
    heads::MattingInput::check(frames, ratio);
    const torch::Tensor small =
        ratio == 1 ? frames : heads::for_each_frame(frames, [&](const torch::Tensor& x) {
          return heads::resize_by(x, ratio);
        });
    std::array<torch::Tensor, 4> features = backbone(small);
    heads::MattingInput::check_state(states, frames, features, decoder->state_channels());
    features[3] = aspp->forward(features[3]);
    return {small, decoder->forward(small, features, states)};
  }

  std::tuple<torch::Tensor, torch::Tensor> refine(const torch::Tensor& frames,
                                                  const torch::Tensor& small,
                                                  const torch::Tensor& residual,
                                                  const torch::Tensor& alpha,
                                                  const torch::Tensor& hidden) {
    const auto flat = [](const torch::Tensor& x) { return x.dim() == 5 ? x.flatten(0, 1) : x; };
    auto [fine, fine_alpha] =
        refiner->forward(flat(frames), {flat(small), flat(residual), flat(alpha), flat(hidden)});
    if (frames.dim() == 4) return {fine, fine_alpha};
    const auto as_sequence = [&](const torch::Tensor& x) {
      return x.unflatten(0, {frames.size(0), frames.size(1)});
    };
    return {as_sequence(fine), as_sequence(fine_alpha)};
  }

  MattingOptions options_;
};

namespace heads {

/// Stands where a backbone was refused: it can be used like a matting network, so that the compiler
/// reports nothing but the refusal.
class RefusedMatting : public torch::nn::Module {
 public:
  explicit RefusedMatting(const MattingOptions& = {});
  Matte forward(const torch::Tensor& frames, MattingState& state, double downsample_ratio = 1);
  torch::Tensor segment(const torch::Tensor& frames, MattingState& state,
                        double downsample_ratio = 1);
};

template <class Backbone, class Refiner, bool Fits>
struct contained_matting {
  using type = RefusedMatting;
};
template <class Backbone, class Refiner>
struct contained_matting<Backbone, Refiner, true> {
  using type = RobustVideoMattingImpl<Backbone, Refiner>;
};
template <class Backbone, class Refiner>
using ContainedMatting =
    typename contained_matting<Backbone, Refiner, is_backbone_for<Backbone, 2, 4, 8, 16>()>::type;

}  // namespace heads

/// The encoder of the published network: RVM's table, tapped where its decoder joins.
using MattingEncoder = MobileNetV3<RvmArch, taps<after<1>, after<3>, after<6>, after<16>>>;

/// A LibTorch module holder; see RobustVideoMattingImpl.
///
///     mnv3::RobustVideoMatting matting;
///     mnv3::load(matting, "rvm_mobilenetv3.pth");
///     mnv3::RobustVideoMatting<>::State state;
///     auto [foreground, alpha] = matting->forward(frames, state, 0.25);
template <class Backbone = MattingEncoder, class Refiner = DeepGuidedFilter>
class RobustVideoMatting
    : public torch::nn::ModuleHolder<heads::ContainedMatting<Backbone, Refiner>> {
  using Base = torch::nn::ModuleHolder<heads::ContainedMatting<Backbone, Refiner>>;

 public:
  using Impl = heads::ContainedMatting<Backbone, Refiner>;
  using State = MattingState;
  using Base::Base;

  /// A deep copy, typed.
  RobustVideoMatting clone() const {
    return RobustVideoMatting(std::dynamic_pointer_cast<Impl>((*this)->clone()));
  }
};

RobustVideoMatting()->RobustVideoMatting<>;

namespace heads {

/// Loads a whole matting network; where the file is of one with the other refiner, the refusal says so.
template <class Backbone, class Refiner, class Source>
LoadReport load_matting(RobustVideoMatting<Backbone, Refiner>& matting, const Source& source,
                        const LoadOptions& options) {
  try {
    return mnv3::load(static_cast<torch::nn::Module&>(*matting), source, options);
  } catch (const WeightsError& error) {
    const std::string text = error.what();
    if (text.find("refiner.") == std::string::npos) throw;
    constexpr bool is_deep = std::is_same_v<Refiner, DeepGuidedFilter>;
    throw WeightsError(text + "\nThe file is of a network with " +
                       (is_deep ? "another refiner, which has no such weights: use "
                                  "mnv3::RobustVideoMatting<Backbone, mnv3::FastGuidedFilter>"
                                : "the deep guided filter: use mnv3::RobustVideoMatting<Backbone, "
                                  "mnv3::DeepGuidedFilter>"));
  }
}

}  // namespace heads

/// Loads the published network's files and what `save` wrote.
///
/// Errors  WeightsError as `load` of any module; with the wrong refiner it names the other one.
template <class Backbone, class Refiner>
LoadReport load(RobustVideoMatting<Backbone, Refiner>& matting, const std::filesystem::path& path,
                const LoadOptions& options = {}) {
  return heads::load_matting(matting, path, options);
}
template <class Backbone, class Refiner>
LoadReport load(RobustVideoMatting<Backbone, Refiner>& matting, std::span<const std::byte> bytes,
                const LoadOptions& options = {}) {
  return heads::load_matting(matting, bytes, options);
}

}  // namespace mnv3
