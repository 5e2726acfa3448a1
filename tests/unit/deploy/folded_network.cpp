// SPDX-License-Identifier: MIT
#include <mnv3/deploy/folded_network.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <ratio>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "doctest_torch.hpp"
#include "unit/nn/support.hpp"

#include <mnv3/config.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>

namespace {

using mnv3::after;
using mnv3::embedding;
using mnv3::expansion;
using mnv3::first_at_stride;
using mnv3::LargeArch;
using mnv3::logits;
using mnv3::MobileNetV3;
using mnv3::RvmArch;
using mnv3::SmallArch;
using mnv3::taps;
using mnv3::deployment::FoldedNetwork;

// Every kind of block, with residuals around some of them.
struct TinyArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 8, 8, true, RE, 1},
      {8, 3, 24, 16, false, RE, 2},
      {16, 5, 40, 16, true, HS, 1},
      {16, 3, 48, 24, true, HS, 2, 2},
  });
  static constexpr mnv3::Settings settings{.num_classes = 10, .last_channel = 32};
};
struct GreyNormalizingArch : TinyArch {
  static constexpr std::array<double, 1> mean{0.5};
  static constexpr std::array<double, 1> std{0.25};
  static constexpr mnv3::Settings settings{.input{.channels = 1, .mean = mean, .std = std},
                                           .norm_eps = 0.5};
};

// Every convention that is not torchvision's.
struct UnconventionalArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = [] {
    auto rows = TinyArch::blocks;
    rows[0].expands_always = true;
    rows[2].residual = false;
    return rows;
  }();
  static constexpr mnv3::Settings settings{
      .num_classes = 10,
      .last_channel = 32,
      .padding = mnv3::Padding::same,
      .squeeze{.divisor = 1, .block_activation = true, .gate = mnv3::Gate::sigmoid},
      .activation = RE,
      .closing_layers = 2,
      .hidden_bias = false};
};

// Taps before and after everything that could write them.
using AllTaps = taps<after<0>, after<1>, expansion<2>, after<2>, expansion<3>, after<3>,
                     expansion<4>, after<4>, after<5>, embedding, logits>;
using Rvm = taps<after<1>, after<3>, after<6>, after<16>>;

/// A network in double, in eval(), whose tensors look like a trained one's: the running statistics
/// are those of its signal, which therefore lasts to the end, with variances from 0.3 to 2.
template <class Arch, class Taps>
MobileNetV3<Arch, Taps> trained() {
  const torch::NoGradGuard no_grad;
  MobileNetV3<Arch, Taps> net;
  for (const auto& module : net->modules())
    if (auto* layer = module->template as<mnv3::Conv2dNormActivation>()) {
      layer->norm->weight.uniform_(0.2, 1.2);
      layer->norm->bias.normal_(0, 0.5);
    } else if (auto* linear = module->template as<torch::nn::Linear>()) {
      torch::nn::init::kaiming_normal_(linear->weight);
      if (linear->bias.defined()) linear->bias.normal_(0, 0.3);
    } else if (auto* squeeze = module->template as<mnv3::SqueezeExcitation>()) {
      squeeze->fc1->bias.normal_(0, 0.3);
      squeeze->fc2->bias.normal_(0, 0.3);
    }
  support::settled(net, mnv3::definition_of<Arch>.settings.input.channels);
  net->to(torch::kDouble);
  for (const auto& module : net->modules())
    if (auto* layer = module->template as<mnv3::Conv2dNormActivation>()) {
      torch::nn::BatchNorm2dImpl& norm = *layer->norm;
      const torch::Tensor variance = torch::empty_like(norm.running_var).uniform_(0.3, 2);
      const double eps = norm.options.eps();
      const torch::Tensor scale = ((variance + eps) / (norm.running_var + eps)).sqrt();
      layer->conv->weight.mul_(scale.view({-1, 1, 1, 1}));
      norm.running_mean.mul_(scale);
      norm.running_var.copy_(variance);
    }
  return net;
}

template <class Arch, class Taps>
FoldedNetwork<Arch, Taps> folded(const MobileNetV3<Arch, Taps>& net,
                                 torch::Dtype dtype = torch::kDouble) {
  return {mnv3::deployment::fold(mnv3::definition_of<Arch>, mnv3::reach_of<Arch, Taps>(),
                                 mnv3::state_dict(*net)),
          dtype, torch::kCPU};
}

/// What the module returns, as an array in any case.
template <class Arch, class Taps>
auto run(const MobileNetV3<Arch, Taps>& net, const torch::Tensor& x) {
  const torch::NoGradGuard no_grad;
  return typename MobileNetV3<Arch, Taps>::Impl::Outputs{net.ptr()->forward(x)};
}

double relative_error(const torch::Tensor& x, const torch::Tensor& expected) {
  const torch::Tensor exact = expected.to(torch::kDouble);
  return ((x.to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
}

torch::Tensor channels_last(const torch::Tensor& x) {
  return x.contiguous(torch::MemoryFormat::ChannelsLast);
}

/// The folded network in double and in float32 against the module in double, for pictures of every
/// layout.
template <class Arch, class Taps>
void check_against_module(int height, int width) {
  const auto net = trained<Arch, Taps>();
  auto rough_net = net.clone();
  rough_net->to(torch::kFloat);
  const auto in_double = folded(net);
  const auto in_float = folded(net, torch::kFloat);
  constexpr int channels = mnv3::definition_of<Arch>.settings.input.channels;
  const torch::Tensor nchw = torch::randn({2, channels, height, width}, torch::kDouble);
  const torch::Tensor wide = torch::zeros({4, channels, height, 3 * width}, torch::kDouble);
  const torch::Tensor gaps = wide.slice(0, 0, 4, 2).slice(3, 0, 3 * width, 3).copy_(nchw);
  const auto exact = run(net, nchw);
  const auto rough = run(rough_net, nchw.to(torch::kFloat));
  // LibTorch has other convolutions for each layout, and on each machine.
  const auto rough_last = run(rough_net, channels_last(nchw.to(torch::kFloat)));
  for (const torch::Tensor& x : {nchw, channels_last(nchw), gaps}) {
    const auto outputs = in_double(x);
    const auto float_outputs = in_float(x.to(torch::kFloat));
    REQUIRE(outputs.size() == exact.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(i);
      REQUIRE(outputs[i].sizes() == exact[i].sizes());
      REQUIRE(float_outputs[i].sizes() == exact[i].sizes());
      CHECK(support::has_type(outputs[i], torch::kDouble));
      CHECK(support::has_type(float_outputs[i], torch::kFloat));
      CHECK(relative_error(outputs[i], exact[i]) <= 1e-12);
      // Deep networks of random weights amplify rounding: then the module itself is no closer.
      const double of_module =
          std::max(relative_error(rough[i], exact[i]), relative_error(rough_last[i], exact[i]));
      CHECK(relative_error(float_outputs[i], exact[i]) <= std::max(2e-6, 1.5 * of_module));
    }
  }
}

TEST_CASE("a folded network gives what its module gives, at every tap") {
  torch::manual_seed(1);
  SUBCASE("large") {
    check_against_module<LargeArch, taps<after<0>, expansion<2>, first_at_stride<8>, after<6>,
                                         expansion<13>, after<16>, embedding, logits>>(49, 64);
  }
  SUBCASE("small") { check_against_module<SmallArch, taps<>>(64, 47); }
  SUBCASE("RobustVideoMatting's encoder") { check_against_module<RvmArch, Rvm>(40, 72); }
  SUBCASE("half the width, dilated") {
    check_against_module<mnv3::WidthMult<mnv3::Dilated<SmallArch>, std::ratio<1, 2>>,
                         taps<expansion<9>, after<12>, logits>>(33, 48);
  }
  SUBCASE("other conventions") {
    check_against_module<UnconventionalArch, AllTaps>(31, 24);
    check_against_module<UnconventionalArch, AllTaps>(16, 33);
  }
  SUBCASE("every tap") { check_against_module<TinyArch, AllTaps>(31, 24); }
  SUBCASE("normalised inside, with another epsilon") {
    check_against_module<GreyNormalizingArch, AllTaps>(24, 31);
  }
  SUBCASE("up to an expansion") { check_against_module<TinyArch, taps<expansion<3>>>(16, 16); }
  SUBCASE("up to the embedding") { check_against_module<TinyArch, taps<embedding>>(16, 16); }
  SUBCASE("one pixel") { check_against_module<TinyArch, AllTaps>(1, 1); }
}

TEST_CASE("a folded network runs in bfloat16, as close as its module") {
  torch::manual_seed(2);
  auto net = trained<SmallArch, taps<after<3>, after<12>, logits>>();
  const auto in_bfloat16 = folded(net, torch::kBFloat16);
  const torch::Tensor x = torch::randn({2, 3, 64, 64}).to(torch::kBFloat16);
  const auto exact = run(net, x.to(torch::kDouble));
  net->to(torch::kBFloat16);
  for (const torch::Tensor& pictures : {x, channels_last(x)}) {
    const auto outputs = in_bfloat16(pictures);
    const auto of_module = run(net, pictures);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(i);
      CHECK(support::has_type(outputs[i], torch::kBFloat16));
      CHECK(relative_error(outputs[i], exact[i]) <= 1.3 * relative_error(of_module[i], exact[i]));
    }
  }
}

TEST_CASE("an empty batch gives empty outputs of the right size") {
  const auto net = trained<TinyArch, AllTaps>();
  for (const auto dtype : {torch::kFloat, torch::kDouble, torch::kBFloat16}) {
    const auto network = folded(net, dtype);
    const auto full = network(torch::randn({1, 3, 25, 14}).to(dtype));
    const auto empty = network(torch::zeros({0, 3, 25, 14}, dtype));
    for (std::size_t i = 0; i < full.size(); ++i) {
      CAPTURE(i);
      CHECK(support::same(empty[i], full[i].narrow(0, 0, 0)));
    }
  }
}

TEST_CASE("outputs have the layout of the pictures, as the module's have") {
  const auto net = trained<TinyArch, AllTaps>();
  for (const auto dtype : {torch::kFloat, torch::kDouble}) {
    const auto network = folded(net, dtype);
    const torch::Tensor x = torch::randn({2, 3, 32, 40}).to(dtype);
    for (const torch::Tensor& output : network(x)) CHECK(output.is_contiguous());
    for (const torch::Tensor& output : network(channels_last(x)))
      if (output.dim() == 4) {
        CHECK(output.is_contiguous(torch::MemoryFormat::ChannelsLast));
        CHECK_FALSE(output.is_contiguous());
      }
  }
}

TEST_CASE("no output is written again, nor are the pictures") {
  torch::manual_seed(4);
  const auto net = trained<TinyArch, AllTaps>();
  const auto network = folded(net, torch::kFloat);
  const auto up_to = [&]<class Tap>(Tap, const torch::Tensor& x) {
    return FoldedNetwork<TinyArch, taps<Tap>>(
        mnv3::deployment::fold(mnv3::definition_of<TinyArch>, mnv3::reach_of<TinyArch, taps<Tap>>(),
                               mnv3::state_dict(*net)),
        torch::kFloat, torch::kCPU)(x)[0];
  };
  // In channels_last an output is what the next layer reads, not a copy of it.
  for (const torch::Tensor& x :
       {torch::randn({2, 3, 32, 32}), channels_last(torch::randn({2, 3, 32, 32}))}) {
    const torch::Tensor kept = x.clone();
    const auto outputs = network(x);
    CHECK(support::same(outputs[0], up_to(after<0>{}, x)));
    CHECK(support::same(outputs[1], up_to(after<1>{}, x)));
    CHECK(support::same(outputs[2], up_to(expansion<2>{}, x)));
    CHECK(support::same(outputs[3], up_to(after<2>{}, x)));
    CHECK(support::same(outputs[4], up_to(expansion<3>{}, x)));
    CHECK(support::same(outputs[9], up_to(embedding{}, x)));
    CHECK(support::same(x, kept));
  }
}

TEST_CASE("training the module afterwards changes nothing") {
  torch::manual_seed(5);
  auto net = trained<TinyArch, AllTaps>();
  for (const auto dtype : {torch::kDouble, torch::kFloat}) {
    const auto network = folded(net, dtype);
    const torch::Tensor x = torch::randn({2, 3, 24, 24}, dtype);
    const auto before = network(x);
    {
      const torch::NoGradGuard no_grad;
      for (const auto& [name, tensor] : mnv3::state_dict(*net))
        if (tensor.is_floating_point()) tensor.mul_(1.5);
    }
    CHECK(std::ranges::equal(network(x), before, support::same));
    CHECK_FALSE(support::same(folded(net, dtype)(x)[0], before[0]));
  }
}

TEST_CASE("outputs ask for no gradient, and heads can be trained on them") {
  torch::manual_seed(6);
  const auto check = [](const auto& network) {
    torch::Tensor x = torch::randn({2, 3, 24, 24}).set_requires_grad(true);
    for (const torch::Tensor& output : network(x)) {
      CHECK_FALSE(output.requires_grad());
      CHECK_FALSE(output.is_inference());
      const torch::Tensor head = torch::randn_like(output).set_requires_grad(true);
      (output * head).sum().backward();
      CHECK(support::same(head.grad(), output));
    }
    CHECK_FALSE(x.grad().defined());
  };
  const auto net = trained<TinyArch, AllTaps>();
  check(folded(net, torch::kFloat));
  check([&] {
    const c10::InferenceMode inference;
    return folded(net, torch::kFloat);
  }());
}

TEST_CASE("several threads run one folded network and get equal results") {
  torch::manual_seed(7);
  const auto network = folded(trained<TinyArch, AllTaps>(), torch::kFloat);
  const torch::Tensor x = torch::randn({2, 3, 48, 48});
  const auto expected = network(x);
  std::array<int, 4> right{};
  {
    std::vector<std::jthread> threads;
    for (int& count : right)
      threads.emplace_back([&] {
        for (int round = 0; round < 10; ++round)
          count += std::ranges::equal(network(x), expected, support::same);
      });
  }
  CHECK(right == std::array{10, 10, 10, 10});
}

TEST_CASE("layers of another network are refused by name") {
  using Encoder = taps<after<2>>;
  const auto layers =
      mnv3::deployment::fold(mnv3::definition_of<TinyArch>, mnv3::reach_of<TinyArch, Encoder>(),
                             mnv3::state_dict(*trained<TinyArch, Encoder>()));
  const auto error = [&]<class Taps>(Taps) {
    return support::error_of(
        [&] { FoldedNetwork<TinyArch, Taps>(layers, torch::kFloat, torch::kCPU); });
  };
  CHECK(error(Encoder{}).empty());
  CHECK(error(taps<after<3>>{}) == "mnv3: the folded layers lack features.3.block.0.0");
  CHECK(error(taps<after<1>>{}) == "mnv3: 3 folded layers are after the network's last one");
}

}  // namespace
