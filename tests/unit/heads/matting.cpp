// SPDX-License-Identifier: MIT
#include <array>
#include <tuple>

#include <mnv3/heads.hpp>
#include <mnv3/mnv3.hpp>

#include <doctest_torch.hpp>

namespace {

using namespace mnv3;

/// A small ResNet-style backbone: nothing here is MobileNetV3's.
class PlainImpl final : public torch::nn::Cloneable<PlainImpl> {
 public:
  PlainImpl() { reset(); }
  void reset() override {
    int in = 3;
    for (std::size_t i = 0; i < convs.size(); in = widths[i++])
      convs[i] = register_module(
          "layer" + std::to_string(i + 1),
          torch::nn::Conv2d(torch::nn::Conv2dOptions(in, widths[i], 3).stride(2).padding(1)));
  }
  std::array<torch::Tensor, 4> forward(torch::Tensor x) {
    const bool is_sequence = x.dim() == 5;
    const auto batch = x.sizes().vec();
    if (is_sequence) x = x.flatten(0, 1);
    std::array<torch::Tensor, 4> outputs;
    for (std::size_t i = 0; i < convs.size(); ++i) {
      x = torch::relu(convs[i]->forward(x));
      outputs[i] = is_sequence ? x.unflatten(0, {batch[0], batch[1]}) : x;
    }
    return outputs;
  }

  static constexpr std::array widths{8, 12, 20, 48};
  std::array<torch::nn::Conv2d, 4> convs{nullptr, nullptr, nullptr, nullptr};
};
struct Plain : torch::nn::ModuleHolder<PlainImpl> {
  using torch::nn::ModuleHolder<PlainImpl>::ModuleHolder;
  static constexpr std::array channels = PlainImpl::widths;
  static constexpr std::array strides{2, 4, 8, 16};
};

static_assert(feature_backbone<Plain>);
static_assert(feature_backbone<MattingEncoder>);
static_assert(feature_backbone<MobileNetV3<SmallArch>>);
static_assert(feature_backbone<const Deployed<RvmArch, taps<after<1>, after<3>>>>);
static_assert(feature_backbone<BackboneWithFPN<>>);
static_assert(BackboneWithFPN<>::strides == std::array{32, 32, 64});
static_assert(!feature_backbone<PlainImpl>);
static_assert(!feature_backbone<torch::nn::Conv2d>);

}  // namespace

TEST_CASE("a module and what is deployed of it are called alike") {
  const auto sum = []<feature_backbone Backbone>(Backbone& backbone, const torch::Tensor& x) {
    auto [low, high] = backbone(x);
    return low.sum() + high.sum();
  };
  const torch::NoGradGuard no_grad;
  MobileNetV3<SmallArch, taps<after<1>, after<3>>> net;
  net->eval();
  const auto fast = deploy(net);
  const torch::Tensor x = torch::rand({1, 3, 64, 64});
  const double whole = sum(net, x).item<double>();
  CHECK(sum(fast, x).item<double>() == doctest::Approx(whole).epsilon(1e-4));
}

TEST_CASE("a matting network on another backbone") {
  torch::manual_seed(0);
  RobustVideoMatting<Plain> matting(Plain(), MattingOptions{.aspp = 16, .decoder = {12, 8, 8, 4}});
  matting->eval();
  MattingState state;
  const auto [foreground, alpha] = matting->forward(torch::rand({1, 2, 3, 64, 96}), state, 0.5);
  CHECK(foreground.sizes() == torch::IntArrayRef{1, 2, 3, 64, 96});
  CHECK(alpha.sizes() == torch::IntArrayRef{1, 2, 1, 64, 96});
  CHECK(state.recurrent[3].sizes() == torch::IntArrayRef{1, 8, 2, 3});
}

TEST_CASE("widths that cannot be halved are refused") {
  CHECK_THROWS_WITH_AS(
      RobustVideoMatting<Plain>(Plain(), MattingOptions{.decoder = {80, 41, 32, 16}}),
      doctest::Contains("block 1 has 41"), c10::Error);
}

TEST_CASE("a clone is another network, backbone included") {
  torch::manual_seed(0);
  RobustVideoMatting<Plain, FastGuidedFilter> matting;
  matting->eval();
  auto copy = matting.clone();
  const torch::NoGradGuard no_grad;
  const torch::Tensor frames = torch::rand({1, 3, 48, 48});
  MattingState one, other;
  CHECK(torch::equal(matting->forward(frames, one).alpha, copy->forward(frames, other).alpha));
  for (auto& parameter : copy->parameters()) parameter.zero_();
  MattingState third;
  CHECK(torch::equal(matting->forward(frames, third).alpha,
                     matting->forward(frames, (third.reset(), third)).alpha));
  CHECK(matting->backbone->convs[0]->weight.abs().sum().item<float>() > 0);
}

TEST_CASE("clones of other heads have the same weights") {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::rand({1, 3, 64, 64});
  const auto compare = [&](auto net, auto outputs_of) {
    net->eval();
    auto copy = net.clone();
    const auto ours = outputs_of(net(x));
    const auto theirs = outputs_of(copy(x));
    for (std::size_t i = 0; i < ours.size(); ++i) CHECK(torch::equal(ours[i], theirs[i]));
    for (auto& parameter : copy->parameters()) parameter.zero_();
    CHECK(torch::equal(outputs_of(net(x))[0], ours[0]));
  };
  compare(LRASPP<>(), [](const torch::Tensor& logits) { return std::array{logits}; });
  compare(DeepLabV3<>(), [](const Segmentation& both) { return std::array{both.out, both.aux}; });
  compare(BackboneWithFPN<heads::DetectionBackbone, LastLevelP6P7>(),
          [](const auto& levels) { return levels; });
}

TEST_CASE("nms keeps the better one of two that overlap") {
  const torch::Tensor boxes =
      torch::tensor({0.F, 0.F, 10.F, 10.F, 1.F, 1.F, 11.F, 11.F, 20.F, 0.F, 30.F, 10.F})
          .view({3, 4});
  const torch::Tensor scores = torch::tensor({0.5F, 0.9F, 0.1F});
  CHECK(torch::equal(nms(boxes, scores, 0.5), torch::tensor({1, 2}, torch::kLong)));
  CHECK(torch::equal(nms(boxes, scores, 0.7), torch::tensor({1, 0, 2}, torch::kLong)));
  CHECK(nms(boxes.slice(0, 0, 0), scores.slice(0, 0, 0), 0.5).size(0) == 0);
  CHECK_THROWS_WITH_AS(nms(boxes, scores.slice(0, 0, 2), 0.5), doctest::Contains("[3, 4] and [2]"),
                       c10::Error);
}
