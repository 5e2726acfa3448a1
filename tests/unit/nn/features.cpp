// SPDX-License-Identifier: MIT
#include <mnv3/nn/features.hpp>

#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "doctest_torch.hpp"
#include "support.hpp"

#include <mnv3/config.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>

// A tapped tensor is the caller's: nothing that runs after it may write it, although the layers do
// what they can in place. So every tap there is is compared with a run module by module, on copies.

namespace {

using mnv3::after;
using mnv3::embedding;
using mnv3::expansion;
using mnv3::LargeArch;
using mnv3::logits;
using mnv3::MobileNetV3;
using mnv3::SmallArch;
using mnv3::taps;

// Every kind of block.
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

template <class... A, class... B>
taps<A..., B...> operator+(taps<A...>, taps<B...>) {
  return {};
}

template <class Arch, int Feature>
constexpr auto taps_in_feature() {
  constexpr const mnv3::Definition& net = mnv3::definition_of<Arch>;
  if constexpr (mnv3::position_of(net, expansion<Feature>::request) >= 0)
    return taps<expansion<Feature>, after<Feature>>();
  else
    return taps<after<Feature>>();
}

template <class Arch, int... Feature>
auto every_tap(std::integer_sequence<int, Feature...>)
    -> decltype((taps_in_feature<Arch, Feature>() + ... + taps<embedding, logits>()));
template <int... Feature>
taps<after<Feature>...> every_feature(std::integer_sequence<int, Feature...>);

template <class Arch>
using Features = std::make_integer_sequence<int, mnv3::feature_count(mnv3::definition_of<Arch>)>;
template <class Arch>
using EveryTap = decltype(every_tap<Arch>(Features<Arch>()));
template <class Arch>
using EveryFeature = decltype(every_feature(Features<Arch>()));

static_assert(EveryTap<LargeArch>::requests.size() == 17 + 14 + 2);
static_assert(EveryTap<SmallArch>::requests.size() == 13 + 10 + 2);

/// Runs `net` as a user would, in `training` and with autograd or not.
template <class Net>
auto run(Net& net, const torch::Tensor& x, bool training, bool grad) {
  const torch::AutoGradMode mode(grad);
  net->train(training);
  torch::manual_seed(1);  // dropout
  return net->forward(x);
}

/// Calls `visit(training, grad)` for the four ways to run a network.
template <class Visit>
void in_each_mode(Visit visit) {
  for (const bool training : {false, true})
    for (const bool grad : {false, true}) {
      CAPTURE(training);
      CAPTURE(grad);
      visit(training, grad);
    }
}

/// Everything that can be tapped, computed module by module: each gets copies, in case it writes.
template <class Net>
std::vector<torch::Tensor> run_in_steps(Net& net, torch::Tensor x, bool training, bool grad) {
  const torch::AutoGradMode mode(grad);
  net->train(training);
  torch::manual_seed(1);  // dropout
  std::vector<torch::Tensor> outputs;
  const auto step = [&](auto& module) {
    if constexpr (requires { module.expand(x); }) {
      const torch::Tensor expanded = module.expand(x.clone());
      if (module.block->expansion) outputs.push_back(expanded);
      x = module.contract(expanded.clone(), x.clone());
    } else {
      x = module.forward(x.clone());
    }
    outputs.push_back(x);
  };
  constexpr int count = std::remove_reference_t<decltype(*net->features)>::count;
  [&]<int... Feature>(std::integer_sequence<int, Feature...>) {
    (step(net->features->template at<Feature>()), ...);
  }
  (std::make_integer_sequence<int, count>());
  outputs.push_back(net->classifier->embed(x.mean({2, 3})));
  outputs.push_back(net->classifier->classify(outputs.back().clone()));
  return outputs;
}

/// Taps everything, in each mode, and compares it with `run_in_steps`.
template <class Arch>
void compare_every_tap_with_steps() {
  torch::manual_seed(0);
  MobileNetV3<Arch, EveryTap<Arch>> net;
  support::settled(net);
  const torch::Tensor x = torch::randn({2, 3, 64, 64});
  const torch::Tensor kept = x.clone();
  in_each_mode([&](bool training, bool grad) {
    const auto outputs = run(net, x, training, grad);
    const std::vector<torch::Tensor> expected = run_in_steps(net, x, training, grad);
    REQUIRE(outputs.size() == expected.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(i);
      CHECK(support::same(outputs[i], expected[i]));
    }
    CHECK(support::same(x, kept));
  });
}

TEST_CASE("no tapped tensor of Large is written again") {
  compare_every_tap_with_steps<LargeArch>();
}
TEST_CASE("no tapped tensor of Small is written again") {
  compare_every_tap_with_steps<SmallArch>();
}

// Without taps inside them, blocks run in one piece, and could do more in place.
template <class Arch>
void compare_every_feature_with_steps() {
  torch::manual_seed(0);
  MobileNetV3<Arch> plain;
  support::settled(plain);
  MobileNetV3<Arch, EveryFeature<Arch>> features;
  support::copy_by_name(*plain, *features);
  const torch::Tensor x = torch::randn({2, 3, 64, 64});
  in_each_mode([&](bool training, bool grad) {
    const auto outputs = run(features, x, training, grad);
    const std::vector<torch::Tensor> expected = run_in_steps(plain, x, training, grad);
    std::size_t next = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(i);
      const int feature = static_cast<int>(i);
      const mnv3::Definition& net = mnv3::definition_of<Arch>;
      if (mnv3::is_block(net, feature) && mnv3::has_expansion(mnv3::row_of(net, feature))) ++next;
      CHECK(support::same(outputs[i], expected[next++]));
    }
    CHECK(support::same(run(plain, x, training, grad), expected.back()));
  });
}

TEST_CASE("a feature is the same whether or not the inside of its block is tapped") {
  compare_every_feature_with_steps<LargeArch>();
  compare_every_feature_with_steps<SmallArch>();
}

TEST_CASE("a tap gives the same alone, where nothing runs after it") {
  torch::manual_seed(0);
  MobileNetV3<TinyArch, EveryTap<TinyArch>> everything;
  support::settled(everything);
  const torch::Tensor x = torch::randn({2, 3, 32, 32});
  in_each_mode([&](bool training, bool grad) {
    const auto weights = everything.clone();  // training moves statistics
    const auto outputs = run(everything, x, training, grad);
    std::size_t tap = 0;
    const auto compare = [&](auto alone) {
      CAPTURE(tap);
      support::copy_by_name(*weights, *alone);
      CHECK(support::same(run(alone, x, training, grad), outputs[tap++]));
    };
    [&]<class... Tap>(taps<Tap...>) {
      (compare(MobileNetV3<TinyArch, taps<Tap>>()), ...);
    }(EveryTap<TinyArch>());
  });
}

TEST_CASE("outputs share no memory with each other or the input, and outlive the next call") {
  torch::manual_seed(0);
  MobileNetV3<SmallArch, EveryTap<SmallArch>> net;
  support::settled(net);
  in_each_mode([&](bool training, bool grad) {
    const torch::Tensor x = torch::randn({2, 3, 32, 32});
    const auto outputs = run(net, x, training, grad);
    std::set<const void*> storages{x.storage().data()};
    for (const torch::Tensor& output : outputs)
      CHECK(storages.insert(output.storage().data()).second);

    std::array<torch::Tensor, EveryTap<SmallArch>::requests.size()> kept;
    for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = outputs[i].detach().clone();
    run(net, torch::randn({2, 3, 32, 32}), training, grad);
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(support::same(outputs[i], kept[i]));
  });
}

}  // namespace

TEST_CASE("features are counted, indexed, iterated and called like a torch::nn::Sequential") {
  MobileNetV3<SmallArch, taps<after<4>>> net;
  net->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({1, 3, 64, 64});
  CHECK(net->features->size() == 5);
  CHECK(net->features.size() == 5);

  torch::Tensor by_index = x;
  for (int i = 0; i < 5; ++i) by_index = net->features[i](by_index);
  torch::Tensor by_iteration = x;
  for (const mnv3::Feature& feature : net->features) by_iteration = feature.forward(by_iteration);
  torch::Tensor in_two = net->features->forward(net->features->forward(x, 0, 2), 2, 5);
  for (const torch::Tensor& y : {by_index, by_iteration, in_two, net->features->forward(x)})
    CHECK(support::same(y, net->forward(x)));
  CHECK(support::same(net->features->forward(x, 3, 3), x));
  CHECK(&*net->features[2] == &net->features->at<2>());
  CHECK(net->features[2].ptr() == net->features->named_children()["2"]);
}

TEST_CASE("a clone's features are its own") {
  MobileNetV3<SmallArch, taps<after<4>>> net;
  auto copy = net.clone();
  CHECK(&*copy->features[2] == &copy->features->at<2>());
  CHECK(&*copy->features[2] != &*net->features[2]);
}

TEST_CASE("a feature that does not exist is refused with those that do") {
  MobileNetV3<SmallArch, taps<after<4>>> net;
  const torch::Tensor x = torch::randn({1, 3, 64, 64});
  for (const int index : {-1, 5}) {
    const std::string text = support::error_of([&] { return net->features[index]; });
    CHECK(support::contains(text, "the features 0 to 4"));
    CHECK(support::contains(text, std::to_string(index)));
  }
  for (const auto& [begin, end] : {std::pair(-1, 2), std::pair(3, 2), std::pair(0, 6)}) {
    const std::string text =
        support::error_of([&] { return net->features->forward(x, begin, end); });
    CHECK(support::contains(text, "the features 0 to 4"));
  }
}
