// SPDX-License-Identifier: MIT
// Each argument of torchvision's constructor: norm_layer, block and rows, and the modules that
// people put in place of torchvision's.

#include <array>
#include <ostream>
#include <string>

#include <parity/networks.hpp>

namespace parity {

namespace {

using namespace mnv3;

/// The first rows of Small: every kind of layer.
struct BriefArch {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE, 2, 1},
      {16, 3, 72, 24, false, RE, 2, 1},
      {24, 3, 88, 24, false, RE, 1, 1},
      {24, 5, 96, 40, true, HS, 2, 1},
      {40, 5, 240, 40, true, HS, 1, 1},
  });
  static constexpr Settings settings{.num_classes = 10, .last_channel = 64};
};

// ------------------------------------------------------------------------------------- norm_layer

struct Frozen : SmallArch {
  static constexpr Settings settings{.norm = Norm::frozen_batch};
};
struct FrozenEps : BriefArch {
  static constexpr Settings settings{.norm = Norm::frozen_batch, .norm_eps = 1e-2};
};
struct Group8 : SmallArch {
  static constexpr Settings settings{.norm = Norm::group};
};
struct Group4 : BriefArch {
  static constexpr Settings settings{.norm = Norm::group, .norm_eps = 1e-3, .norm_groups = 4};
};
struct WithoutNorm : BriefArch {
  static constexpr Settings settings{.norm = Norm::none};
};

// ----------------------------------------------------------------- activations, poolings and gates

/// One activation everywhere, between the convolutions of squeeze-and-excitation as well.
template <Activation Everywhere>
struct Activated : WithActivation<WithActivation<BriefArch, Activation::RE, Everywhere>,
                                  Activation::HS, Everywhere> {
  static constexpr Settings settings{.squeeze{.block_activation = true}};
};

template <Pooling How>
struct Pooled : BriefArch {
  static constexpr Settings settings{.pooling = How};
};

template <Gate How>
struct Gated : BriefArch {
  static constexpr Settings settings{.squeeze{.gate = How}};
};

// ------------------------------------------------------------------------------------------- block

/// torchvision's block with a factor for each channel of what it adds to its input.
template <InvertedResidualConfig Row>
class ScaledResidualImpl final : public torch::nn::Cloneable<ScaledResidualImpl<Row>> {
 public:
  explicit ScaledResidualImpl(const Settings& settings) : settings_(settings) { reset(); }

  void reset() override {
    scale = this->register_parameter("scale", torch::full({Row.out_channels, 1, 1}, 0.5));
    block = this->register_module("block", Bottleneck(Row, BlockPart::whole, settings_));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;  // (N, input_channels, H, W)
    if constexpr (has_expansion(Row)) y = block->expansion->forward(y);
    y = block->depthwise->forward(y);
    if constexpr (Row.use_se) y = block->squeeze->forward(y);
    y = scale * block->projection->forward(y);  // (N, out_channels, H/s, W/s)
    return has_residual(Row) ? y + x : y;
  }

  void pretty_print(std::ostream& stream) const override { stream << "ScaledResidual"; }

  torch::Tensor scale;  // (out_channels, 1, 1)
  Bottleneck block{nullptr};

 private:
  Settings settings_;
};

template <InvertedResidualConfig Row>
class ScaledResidual : public torch::nn::ModuleHolder<ScaledResidualImpl<Row>> {
 public:
  using torch::nn::ModuleHolder<ScaledResidualImpl<Row>>::ModuleHolder;
};

/// Norm and activation before a convolution, all of them LibTorch's.
class PreNormUnitImpl final : public torch::nn::Cloneable<PreNormUnitImpl> {
 public:
  PreNormUnitImpl(int in, int out, int kernel, Stride stride)
      : in_(in), out_(out), kernel_(kernel), stride_(stride) {
    reset();
  }

  void reset() override {
    norm = register_module("0", torch::nn::GroupNorm(4, in_));
    const auto options = torch::nn::Conv2dOptions(in_, out_, kernel_)
                             .stride({stride_.height, stride_.width})
                             .padding(kernel_ / 2);
    conv = register_module("2", torch::nn::Conv2d(options));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    return conv->forward(torch::silu(norm->forward(x)));
  }

  torch::nn::GroupNorm norm{nullptr};
  torch::nn::Conv2d conv{nullptr};

 private:
  int in_, out_, kernel_;
  Stride stride_;
};
TORCH_MODULE(PreNormUnit);

/// A block that has nothing of torchvision's, under names that torchvision gives to other tensors.
template <InvertedResidualConfig Row>
class PreNorm final : public torch::nn::Cloneable<PreNorm<Row>> {
 public:
  PreNorm() { reset(); }

  void reset() override {
    widen = PreNormUnit(Row.input_channels, Row.expanded_channels, 3, Row.stride);
    narrow = PreNormUnit(Row.expanded_channels, Row.out_channels, 1, 1);
    this->register_module("block", torch::nn::Sequential(widen, narrow));
    if constexpr (!has_residual(Row))
      shortcut = this->register_module(
          "shortcut",
          torch::nn::Conv2d(torch::nn::Conv2dOptions(Row.input_channels, Row.out_channels, 1)
                                .stride({Row.stride.height, Row.stride.width})
                                .bias(false)));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = narrow->forward(widen->forward(x));
    return y + (shortcut ? shortcut->forward(x) : x);
  }

  PreNormUnit widen{nullptr};
  PreNormUnit narrow{nullptr};
  torch::nn::Conv2d shortcut{nullptr};
};

struct ScaledArch : BriefArch {
  template <InvertedResidualConfig Row>
  using block = ScaledResidual<Row>;
};
struct ScaledGroup : ScaledArch {
  static constexpr Settings settings{.norm = Norm::group};
};
struct PreNormArch : BriefArch {
  template <InvertedResidualConfig Row>
  using block = PreNorm<Row>;
};

// -------------------------------------------------------------------------------------------- rows

/// The ninth column, as it pastes from Python.
struct WidthOfRows {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 16, true, RE, 2, 1, 0.5},
      {16, 3, 72, 24, false, RE, 2, 1, 0.5},
      {20, 3, 88, 20, false, RE, 1, 1, 0.75},
      {20, 5, 96, 40, true, HS, 2, 1, 0.75},
      {40, 5, 240, 40, true, HS, 1, 2, 0.75},
  });
  static constexpr Settings settings{.num_classes = 10, .last_channel = 64};
};

}  // namespace

Networks constructor_networks() {
  using AllOfBrief = taps<after<0>, after<1>, expansion<2>, after<2>, after<5>, after<6>, pooled,
                          embedding, logits>;
  return {
      {"norm_frozen", network<Frozen>()},
      {"norm_frozen_eps", network<FrozenEps>()},
      {"norm_group", network<Group8>()},
      {"norm_group_4", network<Group4>()},
      {"norm_none", network<WithoutNorm>()},
      {"activation_re6", network<Activated<Activation::RE6>>()},
      {"activation_silu", network<Activated<Activation::SiLU>>()},
      {"activation_none", network<Activated<Activation::none>>()},
      {"small_re6", network<WithActivation<SmallArch, Activation::HS, Activation::RE6>>()},
      {"pooling_max", network<Pooled<Pooling::max>>()},
      {"pooling_avgmax", network<Pooled<Pooling::avgmax>>()},
      {"gate_slope_0_2", network<Gated<Gate::hardsigmoid_slope_0_2>>()},
      {"gate_sigmoid", network<Gated<Gate::sigmoid>>()},
      {"block_scaled", network<ScaledArch>()},
      {"block_scaled_group", network<ScaledGroup>()},
      {"block_pre_norm", network<PreNormArch>()},
      {"rows_width", network<WidthOfRows>()},
      {"brief_all", network<BriefArch, AllOfBrief>()},
      {"avgmax_all", network<Pooled<Pooling::avgmax>, AllOfBrief>()},
      {"block_scaled_all", network<ScaledArch, taps<after<0>, after<1>, at_stride<8>, after<5>>>()},
  };
}

}  // namespace parity
