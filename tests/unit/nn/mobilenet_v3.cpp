// SPDX-License-Identifier: MIT
#include <mnv3/nn/mobilenet_v3.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "doctest_torch.hpp"
#include "support.hpp"

#include <mnv3/config.hpp>
#include <mnv3/nn/memory_format.hpp>

namespace {

using mnv3::after;
using mnv3::at_stride;
using mnv3::embedding;
using mnv3::expansion;
using mnv3::first_at_stride;
using mnv3::LargeArch;
using mnv3::logits;
using mnv3::MobileNetV3;
using mnv3::RvmArch;
using mnv3::SmallArch;
using mnv3::taps;

using Large = MobileNetV3<LargeArch>;
using Small = MobileNetV3<SmallArch>;
using RvmEncoder = MobileNetV3<RvmArch, taps<after<1>, after<3>, after<6>, after<16>>>;

// Small enough for the tests that run often, with every kind of block.
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
using Tiny = MobileNetV3<TinyArch>;
using TinyFeatures = MobileNetV3<TinyArch, taps<after<1>, after<3>, after<5>>>;

// The same with one change.
struct GreyArch : TinyArch {
  static constexpr mnv3::Settings settings{.input{.channels = 1}};
};
struct NormalizingArch : TinyArch {
  static constexpr mnv3::Settings settings{.input = mnv3::Input::rgb01_normalized_imagenet};
};
struct GreyNormalizingArch : TinyArch {
  static constexpr std::array<double, 1> mean{0.5};
  static constexpr std::array<double, 1> std{0.25};
  static constexpr mnv3::Settings settings{.input{.channels = 1, .mean = mean, .std = std}};
};
struct AllDroppedArch : TinyArch {
  static constexpr mnv3::Settings settings{.dropout = 1};
};
struct OwnNormArch : TinyArch {
  static constexpr mnv3::Settings settings{.norm_eps = 0.5, .norm_momentum = 0.25};
};

// What a tap is, is known to the compiler.
static_assert(RvmEncoder::channels == std::array{16, 24, 40, 960});
static_assert(RvmEncoder::strides == std::array{2, 4, 8, 16});
static_assert(RvmEncoder::feature_indices == std::array{1, 3, 6, 16});
static_assert(Large::channels == std::array{1000});
static_assert(Large::strides == std::array{0});
static_assert(Large::feature_indices == std::array{-1});
static_assert(std::is_same_v<decltype(std::declval<RvmEncoder>()->forward({})),
                             std::array<torch::Tensor, 4>>);
static_assert(std::is_same_v<decltype(std::declval<Large>()->forward({})), torch::Tensor>);
static_assert(
    std::is_same_v<decltype(std::declval<MobileNetV3<TinyArch, taps<after<2>>>>()->forward({})),
                   torch::Tensor>);

template <class Arch, class Taps>
void check_keys() {
  const MobileNetV3<Arch, Taps> net;
  const auto parameters = net->named_parameters();
  const auto buffers = net->named_buffers();
  std::size_t known = 0;
  for (const mnv3::Key& key : mnv3::keys<Arch, Taps>) {
    const std::string name(key.name.view());
    CAPTURE(name);
    const torch::Tensor* tensor = key.is_buffer ? buffers.find(name) : parameters.find(name);
    REQUIRE(tensor != nullptr);
    CHECK(tensor->sizes() == at::IntArrayRef(key.shape().data(), key.shape().size()));
    CHECK(support::has_type(*tensor, key.is_integral ? torch::kLong : torch::kFloat));
    ++known;
  }
  CHECK(known == parameters.size() + buffers.size());
}

std::int64_t count_parameters(const torch::nn::Module& module) {
  std::int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

template <class Arch, class Taps = taps<>>
std::int64_t count_parameters() {
  return count_parameters(*MobileNetV3<Arch, Taps>());
}

TEST_CASE("a network has exactly the tensors that its table says") {
  check_keys<LargeArch, taps<>>();
  check_keys<SmallArch, taps<>>();
  check_keys<RvmArch, taps<after<1>, after<3>, after<6>, after<16>>>();
  check_keys<TinyArch, taps<>>();
  check_keys<TinyArch, taps<embedding>>();
  check_keys<TinyArch, taps<after<3>>>();
  check_keys<TinyArch, taps<expansion<3>>>();
}

TEST_CASE("what no tap needs does not exist") {
  CHECK(count_parameters<LargeArch>() == 5'483'032);
  CHECK(count_parameters<SmallArch>() == 2'542'856);
  CHECK(count_parameters<LargeArch, taps<after<6>>>() == 61'120);
  CHECK(count_parameters<LargeArch, taps<after<3>, expansion<13>>>() ==
        mnv3::parameter_count<LargeArch, taps<expansion<13>>>());

  SUBCASE("no classifier after features") {
    const RvmEncoder encoder;
    CHECK(count_parameters(*encoder) == 2'971'952);
    CHECK(encoder->named_children().size() == 1);
    CHECK(encoder->features->children().size() == 17);
  }
  SUBCASE("no second Linear after the embedding") {
    MobileNetV3<TinyArch, taps<embedding>> net;
    CHECK(net->classifier->children().size() == 2);  // the first Linear and its activation
    CHECK(net->named_parameters().contains("classifier.0.weight"));
    CHECK_FALSE(net->named_parameters().contains("classifier.3.weight"));
    CHECK(net->forward(torch::randn({2, 3, 32, 32})).sizes() == at::IntArrayRef({2, 32}));
  }
  SUBCASE("nothing of a block after its expansion") {
    MobileNetV3<LargeArch, taps<expansion<13>>> net;
    CHECK(net->features->children().size() == 14);
    for (const std::string& name : support::tensor_names(*net))
      if (name.starts_with("features.13.")) CHECK(name.starts_with("features.13.block.0."));
    CHECK(net->forward(torch::randn({2, 3, 32, 32})).sizes() == at::IntArrayRef({2, 672, 2, 2}));
  }
  SUBCASE("all of the block where another tap needs it") {
    const MobileNetV3<TinyArch, taps<expansion<3>, after<3>>> net;
    CHECK(net->named_parameters().contains("features.3.block.3.0.weight"));
    CHECK_FALSE(net->named_parameters().contains("features.4.block.0.0.weight"));
  }
}

TEST_CASE("outputs have the shapes that the type promises, for pictures of any size") {
  const torch::NoGradGuard no_grad;
  RvmEncoder encoder;
  encoder->eval();
  Large large;
  large->eval();
  Small small;
  small->eval();
  for (const auto& [height, width] : {std::pair{1, 1}, {32, 32}, {97, 131}, {2, 65}}) {
    CAPTURE(height);
    CAPTURE(width);
    const torch::Tensor x = torch::randn({2, 3, height, width});
    const auto outputs = encoder->forward(x);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const int stride = RvmEncoder::strides[i];
      CHECK(outputs[i].sizes() ==
            at::IntArrayRef({2, RvmEncoder::channels[i], (height + stride - 1) / stride,
                             (width + stride - 1) / stride}));
    }
    CHECK(large->forward(x).sizes() == at::IntArrayRef({2, 1000}));
    CHECK(small->forward(x).sizes() == at::IntArrayRef({2, 1000}));
  }
}

TEST_CASE("outputs destructure, in the order of the taps") {
  torch::manual_seed(1);
  MobileNetV3<SmallArch, taps<first_at_stride<8>, at_stride<8>, expansion<9>, embedding, logits>>
      net;
  support::settled(net);
  const auto [low, high, inner, code, scores] = net->forward(torch::randn({2, 3, 64, 64}));
  CHECK(low.sizes() == at::IntArrayRef({2, 24, 8, 8}));
  CHECK(high.sizes() == at::IntArrayRef({2, 24, 8, 8}));
  CHECK_FALSE(torch::equal(low, high));
  CHECK(inner.sizes() == at::IntArrayRef({2, 288, 4, 4}));
  CHECK(code.sizes() == at::IntArrayRef({2, 1024}));
  CHECK(support::same(scores, net->classifier->output->forward(code)));
}

TEST_CASE("a sequence gives what its pictures give") {
  torch::manual_seed(2);
  const torch::NoGradGuard no_grad;
  MobileNetV3<TinyArch, taps<expansion<2>, after<3>, embedding, logits>> net;
  support::settled(net);
  MobileNetV3<TinyArch, taps<after<3>>> single;
  support::copy_by_name(*net, *single);
  single->eval();

  const auto expect_same_as_pictures = [&](const torch::Tensor& sequence) {
    const auto [b, t] = std::pair{sequence.size(0), sequence.size(1)};
    const auto outputs = net->forward(sequence);
    const auto expected = net->forward(
        sequence.reshape({b * t, sequence.size(2), sequence.size(3), sequence.size(4)}));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(i);
      std::vector<std::int64_t> sizes = expected[i].sizes().vec();
      sizes.erase(sizes.begin());
      sizes.insert(sizes.begin(), {b, t});
      CHECK(support::same(outputs[i], expected[i].reshape(sizes)));
    }
    CHECK(support::same(single->forward(sequence), outputs[1]));
  };
  SUBCASE("of several pictures") { expect_same_as_pictures(torch::randn({2, 3, 3, 24, 40})); }
  SUBCASE("of one") { expect_same_as_pictures(torch::randn({2, 1, 3, 24, 40})); }
  SUBCASE("in a batch of one") { expect_same_as_pictures(torch::randn({1, 3, 3, 24, 40})); }
  SUBCASE("of none") { expect_same_as_pictures(torch::randn({2, 0, 3, 24, 40})); }
  SUBCASE("in an empty batch") { expect_same_as_pictures(torch::randn({0, 3, 3, 24, 40})); }
  SUBCASE("with time in front in memory") {
    expect_same_as_pictures(torch::randn({3, 2, 3, 24, 40}).transpose(0, 1));
  }
  SUBCASE("with channels last in memory") {
    expect_same_as_pictures(torch::randn({2, 3, 24, 40, 3}).permute({0, 1, 4, 2, 3}));
  }
  SUBCASE("with gaps in memory") {
    expect_same_as_pictures(torch::randn({2, 6, 3, 48, 80}).slice(1, 0, 6, 2).slice(4, 0, 80, 2));
  }
}

TEST_CASE("each picture of a batch gets its own order back") {
  torch::manual_seed(3);
  const torch::NoGradGuard no_grad;
  Tiny net;
  support::settled(net);
  const torch::Tensor sequence = torch::randn({2, 3, 3, 16, 16});
  const torch::Tensor outputs = net->forward(sequence);
  for (int b = 0; b < 2; ++b)
    for (int t = 0; t < 3; ++t)
      CHECK(support::close(outputs[b][t], net->forward(sequence[b][t].unsqueeze(0))[0]));
}

TEST_CASE("an empty batch gives empty outputs") {
  const torch::NoGradGuard no_grad;
  RvmEncoder encoder;
  encoder->eval();
  CHECK(encoder->forward(torch::zeros({0, 3, 64, 64}))[3].sizes() ==
        at::IntArrayRef({0, 960, 4, 4}));
  Large large;
  large->eval();
  CHECK(large->forward(torch::zeros({0, 3, 64, 64})).sizes() == at::IntArrayRef({0, 1000}));
}

TEST_CASE("an empty batch gives empty outputs in channels_last, too") {
  RvmEncoder encoder;
  encoder->eval();
  mnv3::to_memory_format(*encoder, torch::MemoryFormat::ChannelsLast);
  for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
    const torch::Tensor x = torch::zeros({0, 3, 64, 64}).contiguous(format).set_requires_grad(true);
    const auto outputs = encoder->forward(x);
    CHECK(outputs[0].sizes() == at::IntArrayRef({0, 16, 32, 32}));
    CHECK(outputs[3].sizes() == at::IntArrayRef({0, 960, 4, 4}));
    outputs[3].sum().backward();
    CHECK(x.grad().sizes() == x.sizes());
    for (const torch::Tensor& parameter : encoder->parameters())
      if (parameter.grad().defined()) CHECK(parameter.grad().abs().sum().item<float>() == 0);
  }
}

TEST_CASE("what is no picture is refused with what was given and what is allowed") {
  Tiny net;
  const auto error_for = [&](const torch::Tensor& x) {
    return support::error_of([&] { net->forward(x); });
  };
  const auto names = [](const std::string& error, const std::vector<std::string>& parts) {
    CAPTURE(error);
    CHECK(error.starts_with("mnv3: "));
    for (const std::string& part : parts) {
      CAPTURE(part);
      CHECK(support::contains(error, part));
    }
  };
  SUBCASE("rank") {
    names(error_for(torch::zeros({3, 32, 32})), {"(N, 3, H, W)", "(B, T, 3, H, W)", "[3, 32, 32]"});
    names(error_for(torch::zeros({1, 1, 1, 3, 8, 8})), {"(N, 3, H, W)", "[1, 1, 1, 3, 8, 8]"});
    names(error_for(torch::tensor(1.0)), {"(N, 3, H, W)", "[]"});
  }
  SUBCASE("channels") {
    names(error_for(torch::zeros({1, 4, 32, 32})), {"(N, 3, H, W)", "[1, 4, 32, 32]"});
    names(error_for(torch::zeros({1, 32, 32, 3})), {"(N, 3, H, W)", "[1, 32, 32, 3]"});
    names(error_for(torch::zeros({2, 3, 1, 32, 32})), {"(B, T, 3, H, W)", "[2, 3, 1, 32, 32]"});
  }
  SUBCASE("type") {
    names(error_for(torch::zeros({1, 3, 32, 32}, torch::kByte)), {"floating-point", "Byte"});
    names(error_for(torch::zeros({1, 3, 32, 32}, torch::kLong)), {"floating-point", "Long"});
  }
  SUBCASE("no pixels") {
    names(error_for(torch::zeros({1, 3, 0, 32})), {"H and W at least 1", "[1, 3, 0, 32]"});
    names(error_for(torch::zeros({1, 3, 32, 0})), {"H and W at least 1", "[1, 3, 32, 0]"});
    names(error_for(torch::zeros({1, 1, 3, 0, 0})), {"H and W at least 1", "[1, 1, 3, 0, 0]"});
  }
  SUBCASE("undefined") { names(error_for(torch::Tensor()), {"undefined"}); }
  SUBCASE("another dtype than the network's") {
    names(error_for(torch::zeros({1, 3, 32, 32}, torch::kDouble)),
          {"parameters are Float", "given Double", "x.to(", "net->to("});
    net->to(torch::kDouble);
    names(error_for(torch::zeros({1, 3, 32, 32})), {"parameters are Double", "given Float"});
    CHECK(error_for(torch::zeros({1, 3, 32, 32}, torch::kDouble)).empty());
  }
}

TEST_CASE("under autocast a network takes what autocast converts") {
  MobileNetV3<TinyArch> net;
  net->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({1, 3, 32, 32}, torch::kBFloat16);
  CHECK_THROWS_AS(net->forward(x), c10::Error);
  const c10::impl::ExcludeDispatchKeyGuard off(c10::DispatchKey::AutocastCUDA);  // none of ours
  c10::impl::tls_set_dispatch_key_excluded(c10::DispatchKey::AutocastCPU, false);
  const torch::Tensor y = net->forward(x);
  c10::impl::tls_set_dispatch_key_excluded(c10::DispatchKey::AutocastCPU, true);
  CHECK(y.sizes() == at::IntArrayRef({1, 10}));
}

TEST_CASE("the channel count of the input is the architecture's, in the error as well") {
  MobileNetV3<GreyArch> net;
  CHECK(net->forward(torch::randn({2, 1, 32, 32})).sizes() == at::IntArrayRef({2, 10}));
  const std::string error = support::error_of([&] { net->forward(torch::zeros({1, 3, 32, 32})); });
  CHECK(support::contains(error, "(N, 1, H, W)"));
  CHECK(support::contains(error, "[1, 3, 32, 32]"));
}

TEST_CASE("an architecture known only at run time is refused in the compiler's words") {
  CHECK_NOTHROW(mnv3::require_valid(mnv3::definition_of<LargeArch>));
  std::vector<mnv3::InvertedResidualConfig> rows(LargeArch::blocks.begin(),
                                                 LargeArch::blocks.end());
  rows[4].kernel = 4;
  CHECK_THROWS_WITH_AS(mnv3::require_valid(mnv3::Definition{rows}),
                       "mnv3: [kernel_is_odd] `kernel` must be odd and at least 1, so that padding "
                       "keeps the size\n  row 4: got 4, expected 5",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(mnv3::require_valid(mnv3::Definition{}),
                       "mnv3: [has_blocks] `blocks` needs at least one row\n  got 0, expected 1",
                       std::invalid_argument);
}

TEST_CASE("normalising inside is normalising before") {
  torch::manual_seed(4);
  const torch::NoGradGuard no_grad;
  SUBCASE("three channels, by ImageNet's statistics") {
    MobileNetV3<NormalizingArch> inside;
    Tiny before;
    support::settled(before);
    support::copy_by_name(*before, *inside);
    inside->eval();
    CHECK(support::tensor_names(*inside) == support::tensor_names(*before));

    const torch::Tensor x = torch::rand({2, 3, 40, 24});
    const torch::Tensor kept = x.clone();
    const torch::Tensor mean = torch::tensor({0.485, 0.456, 0.406}).view({3, 1, 1});
    const torch::Tensor std = torch::tensor({0.229, 0.224, 0.225}).view({3, 1, 1});
    const torch::Tensor expected = before->forward((x - mean) / std);
    CHECK(support::close(inside->forward(x), expected, 1e-5));
    CHECK(support::same(x, kept));
    CHECK_FALSE(support::close(before->forward(x), expected, 1e-2));

    SUBCASE("in sequences") {
      CHECK(support::close(inside->forward(x.unsqueeze(1)).squeeze(1), expected, 1e-5));
    }
    SUBCASE("in the precision of the input") {
      inside->to(torch::kDouble);
      CHECK(support::has_type(inside->forward(x.to(torch::kDouble)), torch::kDouble));
      CHECK(support::close(inside->forward(x.to(torch::kDouble)), expected, 1e-4));
    }
  }
  SUBCASE("one channel, by its own statistics") {
    MobileNetV3<GreyNormalizingArch> inside;
    MobileNetV3<GreyArch> before;
    support::settled(before, 1);
    support::copy_by_name(*before, *inside);
    inside->eval();
    const torch::Tensor x = torch::rand({2, 1, 40, 24});
    CHECK(support::close(inside->forward(x), before->forward((x - 0.5) / 0.25), 1e-5));
  }
}

TEST_CASE("RVM's encoder is dilated Large with normalisation inside") {
  torch::manual_seed(5);
  const torch::NoGradGuard no_grad;
  RvmEncoder rvm;
  MobileNetV3<mnv3::Dilated<LargeArch>, taps<after<1>, after<3>, after<6>, after<16>>> dilated;
  support::settled(dilated);
  support::copy_by_name(*dilated, *rvm);
  rvm->eval();
  const torch::Tensor x = torch::rand({1, 3, 64, 64});
  const torch::Tensor mean = torch::tensor({0.485, 0.456, 0.406}).view({3, 1, 1});
  const torch::Tensor std = torch::tensor({0.229, 0.224, 0.225}).view({3, 1, 1});
  const auto outputs = rvm->forward(x);
  const auto expected = dilated->forward((x - mean) / std);
  for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(support::close(outputs[i], expected[i]));
}

TEST_CASE("dropout acts on the logits, only in training, and never on the embedding") {
  torch::manual_seed(6);
  const torch::NoGradGuard no_grad;
  MobileNetV3<AllDroppedArch, taps<embedding, logits>> net;
  net->classifier->output->bias.normal_();
  const torch::Tensor x = torch::randn({4, 3, 32, 32});
  {
    const auto [code, scores] = net->forward(x);  // train() is how a network begins
    CHECK((code != 0).all().item<bool>());
    CHECK(support::same(scores, net->classifier->output->bias.expand({4, 10})));
  }
  net->eval();
  {
    const auto [code, scores] = net->forward(x);
    CHECK((code != 0).all().item<bool>());
    CHECK(support::same(scores, net->classifier->output->forward(code)));
    CHECK(support::same(net->forward(x)[1], scores));
  }
}

TEST_CASE("running statistics move in train() and rest in eval()") {
  torch::manual_seed(7);
  const torch::NoGradGuard no_grad;
  Tiny net;
  const torch::Tensor x = torch::randn({4, 3, 32, 32});
  const auto snapshot = [&] {
    std::vector<torch::Tensor> copies;
    for (const torch::Tensor& buffer : net->buffers()) copies.push_back(buffer.clone());
    return copies;
  };
  CHECK(net->is_training());
  const auto before = snapshot();
  net->forward(x);
  const auto trained = snapshot();
  REQUIRE(before.size() == trained.size());
  for (std::size_t i = 0; i < before.size(); ++i) CHECK_FALSE(torch::equal(before[i], trained[i]));

  net->eval();
  for (const auto& module : net->modules()) CHECK_FALSE(module->is_training());
  net->forward(x);
  const auto evaluated = snapshot();
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(torch::equal(trained[i], evaluated[i]));

  net->train();
  for (const auto& module : net->modules()) CHECK(module->is_training());
}

TEST_CASE("batch norm has the architecture's epsilon and momentum") {
  const torch::NoGradGuard no_grad;
  MobileNetV3<OwnNormArch, taps<after<5>>> own;
  Tiny standard;
  int norms = 0;
  const auto check_all = [&](const torch::nn::Module& module, double eps, double momentum) {
    for (const auto& child : module.modules())
      if (const auto* norm = child->as<torch::nn::BatchNorm2d>()) {
        CHECK(norm->options.eps() == eps);
        CHECK(norm->options.momentum().value() == momentum);
        ++norms;
      }
  };
  check_all(*own, 0.5, 0.25);
  check_all(*standard, 1e-3, 0.01);
  CHECK(norms == 2 * 13);
}

TEST_CASE("autograd reaches every parameter and the input") {
  torch::manual_seed(8);
  const auto check_gradients = [](auto net, bool training) {
    net->train(training);
    const torch::Tensor x = torch::randn({4, 3, 64, 64}, torch::requires_grad());
    torch::Tensor loss = torch::zeros({});
    const auto add = [&](const torch::Tensor& output) {
      loss = loss + (output * torch::randn_like(output)).sum();
    };
    auto outputs = net->forward(x);
    if constexpr (std::is_same_v<decltype(outputs), torch::Tensor>)
      add(outputs);
    else
      for (const torch::Tensor& output : outputs) add(output);
    loss.backward();
    for (const auto& item : net->named_parameters()) {
      CAPTURE(item.key());
      const torch::Tensor grad = item.value().grad();
      REQUIRE(grad.defined());
      CHECK(grad.isfinite().all().item<bool>());
      CHECK(grad.abs().max().template item<double>() > 0);
    }
    CHECK(x.grad().abs().max().template item<double>() > 0);
  };
  for (const bool training : {true, false}) {
    CAPTURE(training);
    check_gradients(support::settled(Large()), training);
    check_gradients(support::settled(Small()), training);
    check_gradients(support::settled(RvmEncoder()), training);
    check_gradients(support::settled(Tiny()), training);
    check_gradients(support::settled(TinyFeatures()), training);
  }
}

// Where nothing that autograd needs is in sight, squeeze-and-excitation works in place.
TEST_CASE("freezing some parameters does not change the gradients of the others") {
  torch::manual_seed(9);
  Tiny net;
  support::settled(net);
  const torch::Tensor x = torch::randn({2, 3, 32, 32});
  const torch::Tensor weights = torch::randn({2, 10});
  const auto gradients = [&] {
    for (torch::Tensor& parameter : net->parameters()) parameter.mutable_grad() = torch::Tensor();
    (net->forward(x) * weights).sum().backward();
    std::vector<torch::Tensor> copies;
    for (const torch::Tensor& parameter : net->parameters())
      copies.push_back(parameter.grad().defined() ? parameter.grad().clone() : torch::Tensor());
    return copies;
  };
  const auto all = gradients();
  const auto items = net->named_parameters().items();
  for (const std::string trained : {"fc1", "fc2.bias", "block.0.0", "block.1.1", "block.3.0",
                                    "features.3.block.2.fc2.weight", "classifier.3", ".1.weight"}) {
    CAPTURE(trained);
    for (const auto& item : items)
      item.value().set_requires_grad(support::contains(item.key(), trained));
    const auto some = gradients();
    int count = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      CAPTURE(items[i].key());
      CHECK(some[i].defined() == support::contains(items[i].key(), trained));
      if (!some[i].defined()) continue;
      CHECK(support::close(some[i], all[i]));
      ++count;
    }
    CHECK(count > 0);
  }
}

TEST_CASE("the result is the same with and without autograd and in inference mode") {
  torch::manual_seed(10);
  Small net;
  support::settled(net);
  const torch::Tensor x = torch::randn({2, 3, 48, 48});
  const torch::Tensor expected = net->forward(x);
  CHECK(expected.requires_grad());
  {
    const torch::NoGradGuard no_grad;
    CHECK(support::close(net->forward(x), expected, 1e-5));
  }
  {
    const c10::InferenceMode inference;
    CHECK(support::close(net->forward(x), expected, 1e-5));
  }
}

TEST_CASE("a network runs in other precisions") {
  torch::manual_seed(11);
  const torch::NoGradGuard no_grad;
  Small net;
  support::settled(net);
  const torch::Tensor x = torch::randn({2, 3, 64, 64});
  const torch::Tensor expected = net->forward(x);
  // What LibTorch's own operators round depends on the processor: more than 0.1 with AVX2 alone.
  constexpr double of_bfloat16 = 0.2;
  SUBCASE("double") {
    net->to(torch::kDouble);
    const torch::Tensor output = net->forward(x.to(torch::kDouble));
    CHECK(support::has_type(output, torch::kDouble));
    CHECK(support::close(output, expected, 1e-4));
  }
  SUBCASE("bfloat16") {
    net->to(torch::kBFloat16);
    const torch::Tensor output = net->forward(x.to(torch::kBFloat16));
    CHECK(support::has_type(output, torch::kBFloat16));
    CHECK(support::close(output, expected, of_bfloat16));
  }
  SUBCASE("bfloat16 with channels last") {
    net->to(torch::kBFloat16);
    const torch::Tensor output =
        net->forward(x.to(torch::kBFloat16).contiguous(torch::MemoryFormat::ChannelsLast));
    CHECK(support::has_type(output, torch::kBFloat16));
    CHECK(support::close(output, expected, of_bfloat16));
  }
  SUBCASE("float16, or LibTorch says which of its operators has none") {
    net->to(torch::kHalf);
    torch::Tensor output;
    const std::string error = support::error_of([&] { output = net->forward(x.to(torch::kHalf)); });
    if (output.defined()) {
      CHECK(support::has_type(output, torch::kHalf));
      CHECK(support::close(output, expected, 0.05));
    } else {
      CHECK(support::contains(error, "not implemented for 'Half'"));
      MESSAGE("LibTorch " TORCH_VERSION ": ", error.substr(0, error.find('\n')));
    }
  }
}

TEST_CASE("changing the precision changes every number but the count of batches") {
  const torch::NoGradGuard no_grad;
  Tiny net;
  net->forward(torch::randn({2, 3, 32, 32}));
  const auto check = [&](torch::Dtype dtype) {
    for (const torch::Tensor& parameter : net->parameters())
      CHECK(support::has_type(parameter, dtype));
    for (const auto& item : net->named_buffers()) {
      CAPTURE(item.key());
      const bool is_count = support::contains(item.key(), "num_batches_tracked");
      CHECK(support::has_type(item.value(), is_count ? torch::kLong : dtype));
      if (is_count) CHECK(item.value().item<std::int64_t>() == 1);
    }
  };
  net->to(torch::kDouble);
  check(torch::kDouble);
  net->to(torch::kCPU, torch::kBFloat16);
  check(torch::kBFloat16);
  net->to(torch::kCPU);
  check(torch::kBFloat16);
}

TEST_CASE("pictures with channels last give the same, whatever the network's layout") {
  torch::manual_seed(12);
  const torch::NoGradGuard no_grad;
  RvmEncoder net;
  support::settled(net);
  const torch::Tensor x = torch::rand({2, 3, 64, 48});
  const auto expected = net->forward(x);
  const auto outputs = net->forward(x.contiguous(torch::MemoryFormat::ChannelsLast));
  for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(support::close(outputs[i], expected[i]));
}

TEST_CASE("several threads run one network and get equal results") {
  torch::manual_seed(13);
  TinyFeatures net;
  support::settled(net);
  TinyFeatures other = net.clone();
  const torch::Tensor x = torch::randn({2, 3, 64, 64});
  std::array<torch::Tensor, 3> expected;
  {
    const torch::NoGradGuard no_grad;
    expected = net->forward(x);
  }
  std::array<int, 4> right{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < right.size(); ++t)
      threads.emplace_back([&, t] {
        const torch::NoGradGuard no_grad;  // each thread has its own
        TinyFeatures mine = t % 2 == 0 ? net : other;
        for (int round = 0; round < 10; ++round) {
          const auto outputs = mine->forward(x);
          right[t] += std::ranges::equal(outputs, expected, support::same);
        }
      });
  }
  CHECK(right == std::array{10, 10, 10, 10});
}

TEST_CASE("a network prints as Python prints it, as far as it goes") {
  const MobileNetV3<SmallArch, taps<after<1>>> net;
  const std::string text = fmt::format("{}", net);
  CHECK(text == R"(MobileNetV3(
  (features): Sequential(
    (0): Conv2dNormActivation(
      (0): Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
      (1): BatchNorm2d(16, eps=0.001, momentum=0.01, affine=True, track_running_stats=True)
      (2): Hardswish()
    )
    (1): InvertedResidual(
      (block): Sequential(
        (0): Conv2dNormActivation(
          (0): Conv2d(16, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=16, bias=False)
          (1): BatchNorm2d(16, eps=0.001, momentum=0.01, affine=True, track_running_stats=True)
          (2): ReLU(inplace=True)
        )
        (1): SqueezeExcitation(
          (avgpool): AdaptiveAvgPool2d(output_size=1)
          (fc1): Conv2d(16, 8, kernel_size=(1, 1), stride=(1, 1))
          (fc2): Conv2d(8, 16, kernel_size=(1, 1), stride=(1, 1))
          (activation): ReLU()
          (scale_activation): Hardsigmoid()
        )
        (2): Conv2dNormActivation(
          (0): Conv2d(16, 16, kernel_size=(1, 1), stride=(1, 1), bias=False)
          (1): BatchNorm2d(16, eps=0.001, momentum=0.01, affine=True, track_running_stats=True)
        )
      )
    )
  )
))");
  std::ostringstream stream;
  stream << net;
  CHECK(stream.str() == text);
}

TEST_CASE("printing shows what exists and nothing else") {
  const std::string rvm = fmt::format("{}", RvmEncoder());
  CHECK_FALSE(support::contains(rvm, "classifier"));
  CHECK_FALSE(support::contains(rvm, "avgpool): AdaptiveAvgPool2d(output_size=1)\n  ("));
  CHECK(support::contains(rvm, "padding=(4, 4), dilation=(2, 2), groups=672, bias=False)"));

  const std::string tiny = fmt::format("{}", Tiny());
  CHECK(support::contains(tiny, R"(
  (avgpool): AdaptiveAvgPool2d(output_size=1)
  (classifier): Sequential(
    (0): Linear(in_features=144, out_features=32, bias=True)
    (1): Hardswish()
    (2): Dropout(p=0.2, inplace=True)
    (3): Linear(in_features=32, out_features=10, bias=True)
  )
))"));

  const std::string code = fmt::format("{}", MobileNetV3<TinyArch, taps<embedding>>());
  CHECK(support::contains(code, "(0): Linear(in_features=144, out_features=32, bias=True)"));
  CHECK_FALSE(support::contains(code, "Dropout"));

  const std::string inner = fmt::format("{}", MobileNetV3<TinyArch, taps<expansion<3>>>());
  CHECK(support::contains(inner,
                          "(0): Conv2d(16, 40, kernel_size=(1, 1), stride=(1, 1), bias=False)"));
  CHECK_FALSE(support::contains(inner, "groups=40"));
}

TEST_CASE("parts print as Python prints them, alone and inside a user's own module") {
  const auto printed = [](const auto& part) {
    std::ostringstream stream;
    stream << part;
    return stream.str();
  };
  const MobileNetV3<SmallArch, taps<after<1>>> net;
  const std::string stem = R"(Conv2dNormActivation(
  (0): Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
  (1): BatchNorm2d(16, eps=0.001, momentum=0.01, affine=True, track_running_stats=True)
  (2): Hardswish()
))";
  CHECK(printed(net->features->at<0>()) == stem);
  CHECK(printed(net->features[0]) == stem);
  CHECK(printed(*net->features->at<1>().block->squeeze) == R"(SqueezeExcitation(
  (avgpool): AdaptiveAvgPool2d(output_size=1)
  (fc1): Conv2d(16, 8, kernel_size=(1, 1), stride=(1, 1))
  (fc2): Conv2d(8, 16, kernel_size=(1, 1), stride=(1, 1))
  (activation): ReLU()
  (scale_activation): Hardsigmoid()
))");

  struct OwnImpl : torch::nn::Module {
    OwnImpl() { register_module("backbone", MobileNetV3<SmallArch, taps<after<0>>>()); }
    void pretty_print(std::ostream& stream) const override { stream << "Own"; }
  };
  CHECK(printed(OwnImpl()) == R"(Own(
  (backbone): MobileNetV3(
    (features): Sequential(
      (0): Conv2dNormActivation(
        (0): Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
        (1): BatchNorm2d(16, eps=0.001, momentum=0.01, affine=True, track_running_stats=True)
        (2): Hardswish()
      )
    )
  )
))");
  const auto copy = net.clone();
  CHECK(printed(copy) == printed(net));
}

TEST_CASE("an empty holder says so when it is used") {
  Tiny nothing{nullptr};
  CHECK(nothing.is_empty());
  CHECK_THROWS_AS(nothing->forward(torch::zeros({1, 3, 8, 8})), c10::Error);
  CHECK_THROWS_AS(nothing.clone(), c10::Error);
  CHECK_THROWS_AS(static_cast<void>(fmt::format("{}", nothing)), c10::Error);
  std::ostringstream stream;
  CHECK_THROWS_AS(stream << nothing, c10::Error);
}

TEST_CASE("a holder shares the network, a clone is another one") {
  torch::manual_seed(14);
  const torch::NoGradGuard no_grad;
  Tiny net;
  support::settled(net);
  Tiny shared = net;
  Tiny copy = net.clone();
  static_assert(std::is_same_v<decltype(net.clone()), Tiny>);
  CHECK(shared.ptr() == net.ptr());
  CHECK(copy.ptr() != net.ptr());

  const torch::Tensor x = torch::randn({2, 3, 32, 32});
  const torch::Tensor before = net->forward(x);
  CHECK(support::same(copy->forward(x), before));
  net->features->at<0>().conv->weight.mul_(2);
  net->features->at<0>().norm->running_mean.add_(1);
  CHECK_FALSE(torch::equal(net->forward(x), before));
  CHECK(support::same(shared->forward(x), net->forward(x)));
  CHECK(support::same(copy->forward(x), before));

  CHECK(support::same(net.clone(torch::Device(torch::kCPU))->forward(x), net->forward(x)));
}

}  // namespace
