// SPDX-License-Identifier: MIT
#include <mnv3/deploy/deployed.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "doctest_torch.hpp"
#include "unit/nn/support.hpp"
#include "unit/weights/files.hpp"

#include <mnv3/config.hpp>
#include <mnv3/weights/save.hpp>

namespace {

using mnv3::after;
using mnv3::Deployed;
using mnv3::expansion;
using mnv3::Isa;
using mnv3::LargeArch;
using mnv3::MobileNetV3;
using mnv3::RvmArch;
using mnv3::SmallArch;
using mnv3::taps;

// What the kernels must not take for granted: odd channel counts, a block without expansion,
// dilation, a kernel of 7, two input channels.
struct OddArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {5, 3, 5, 5, true, RE, 1},
      {5, 3, 21, 13, false, HS, 2},
      {13, 7, 40, 13, true, HS, 1},
      {13, 5, 40, 24, false, RE, 2, 2},
      {24, 3, 50, 24, true, RE, 1, 3},
  });
  static constexpr int num_classes = 7;
  static constexpr int last_channel = 33;
  static constexpr mnv3::Input input{.channels = 2};
};
// The same with every convention that is not torchvision's.
struct UnconventionalArch : OddArch {
  static constexpr auto blocks = [] {
    auto rows = OddArch::blocks;
    rows[0].expands_always = true;
    rows[2].residual = false;
    return rows;
  }();
  static constexpr mnv3::Padding padding = mnv3::Padding::same;
  static constexpr mnv3::Squeeze squeeze{
      .divisor = 1, .block_activation = true, .gate = mnv3::Gate::sigmoid};
  static constexpr mnv3::Activation activation = RE;
  static constexpr int closing_layers = 2;
  static constexpr bool hidden_bias = false;
};
using UnconventionalTaps =
    taps<after<0>, expansion<1>, after<1>, after<2>, after<3>, expansion<4>, after<4>, after<5>,
         after<6>, after<7>, mnv3::embedding, mnv3::logits>;
using OddTaps = taps<after<0>, after<1>, expansion<2>, after<2>, after<3>, expansion<4>, after<4>,
                     after<5>, after<6>, mnv3::embedding, mnv3::logits>;
using RvmTaps = taps<after<1>, after<3>, after<6>, after<16>>;

/// Sets MNV3_ISA for the scope.
class ForcedIsa {
 public:
  explicit ForcedIsa(std::string_view name) { setenv("MNV3_ISA", std::string(name).c_str(), 1); }
  ~ForcedIsa() { unsetenv("MNV3_ISA"); }
};

class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }

 private:
  int before_;
};

std::vector<Isa> available() {
  std::vector<Isa> found;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512})
    if (mnv3::is_available(isa)) found.push_back(isa);
  return found;
}

/// A network whose running statistics are those of its own signal.
template <class Arch, class Taps>
MobileNetV3<Arch, Taps> realistic() {
  const torch::NoGradGuard no_grad;
  MobileNetV3<Arch, Taps> net;
  for (const auto& module : net->modules())
    if (auto* norm = module->template as<torch::nn::BatchNorm2d>()) {
      norm->weight.uniform_(0.5, 1.5);
      norm->bias.normal_(0, 0.2);
    }
  return support::settled(net, mnv3::definition_of<Arch>.settings.input.channels);
}

template <class Result>
std::vector<torch::Tensor> listed(const Result& result) {
  if constexpr (std::is_same_v<Result, torch::Tensor>)
    return {result};
  else
    return {result.begin(), result.end()};
}

template <class Arch, class Taps>
std::vector<torch::Tensor> run(MobileNetV3<Arch, Taps>& net, const torch::Tensor& x) {
  const torch::NoGradGuard no_grad;
  return listed(net->forward(x));
}

double relative_error(const torch::Tensor& x, const torch::Tensor& exact) {
  return ((x.to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
}

/// Draws of instruction set, size, batch, layout and threads.
template <class Arch, class Taps>
void check_accuracy(int draws, int smallest, int largest, unsigned seed) {
  CAPTURE(seed);
  torch::manual_seed(seed);
  std::mt19937 random(seed);
  const auto draw = [&](int from, int to) {
    return std::uniform_int_distribution(from, to)(random);
  };
  auto net = realistic<Arch, Taps>();
  auto exact_net = net.clone();
  exact_net->to(torch::kDouble);
  const int channels = mnv3::definition_of<Arch>.settings.input.channels;
  double worst = 0;
  double ours = 0;  // squares of errors, of all draws together
  double theirs = 0;
  for (int i = 0; i < draws; ++i) {
    const auto isas = available();
    const Isa isa = isas[static_cast<std::size_t>(i) % isas.size()];
    const ForcedIsa forced(name_of(isa));
    const Deployed<Arch, Taps> fast = deploy(net);
    const int batch = draw(1, 5);
    const int height = draw(smallest, largest);
    const int width = draw(smallest, largest);
    const int threads = draw(1, 4);
    const int layout = draw(0, 3);
    CAPTURE(name_of(isa));
    CAPTURE(batch);
    CAPTURE(height);
    CAPTURE(width);
    CAPTURE(threads);
    CAPTURE(layout);
    const ThreadCount count(threads);
    torch::Tensor x = torch::randn({batch, channels, height, width});
    if (layout == 1) x = x.contiguous(torch::MemoryFormat::ChannelsLast);
    if (layout == 2) x = x.transpose(2, 3).contiguous().transpose(2, 3);
    if (layout == 3) x = torch::randn({1, batch, channels, height, width});
    const auto expected = run(exact_net, x.to(torch::kDouble));
    const auto shaped = run(net, x);
    const auto outputs = listed(fast(x));
    for (std::size_t t = 0; t < outputs.size(); ++t) {
      CAPTURE(t);
      CHECK(outputs[t].sizes() == expected[t].sizes());
      const double error = relative_error(outputs[t], expected[t]);
      worst = std::max(worst, error);
      CHECK(error <= 1e-5);
      ours += error * error;
      const double module_error = relative_error(shaped[t], expected[t]);
      theirs += module_error * module_error;
      if (layout < 2) CHECK(outputs[t].strides() == shaped[t].strides());
    }
  }
  MESSAGE("relative error: worst " << worst << ", ours / the float32 module's "
                                   << std::sqrt(ours / theirs));
  // How much float32 loses at all is the network's condition.
  CHECK(ours <= 1.5 * 1.5 * theirs);
}

}  // namespace

TEST_CASE("deployed Small is as exact as float32 can be") {
  check_accuracy<SmallArch, taps<>>(60, 48, 120, 1);
}
TEST_CASE("deployed RVM encoder is as exact as float32 can be") {
  check_accuracy<RvmArch, RvmTaps>(50, 32, 100, 2);
}
TEST_CASE("a deployed network of odd sizes, all taps, is as exact as float32 can be") {
  check_accuracy<OddArch, OddTaps>(120, 1, 70, 3);
}

TEST_CASE("a deployed network of other conventions is as exact as float32 can be") {
  check_accuracy<UnconventionalArch, UnconventionalTaps>(120, 1, 70, 4);
}
TEST_CASE("deployed weights from TensorFlow are as exact as float32 can be") {
  check_accuracy<mnv3::timm::tf_mobilenetv3_small_100, taps<>>(30, 48, 120, 5);
}

TEST_CASE("a deployed network is a copy, shared by threads, and comes from a file, too") {
  const files::TemporaryFolder folder;
  auto net = realistic<SmallArch, taps<after<3>, mnv3::logits>>();
  const auto path = folder.path() / "net.pth";
  mnv3::save(net, path);
  const auto fast = deploy(net);
  const auto from_file = mnv3::deploy<SmallArch, taps<after<3>, mnv3::logits>>(path);
  const torch::Tensor x = torch::randn({1, 3, 40, 56});
  const auto expected = listed(fast(x));
  {
    const torch::NoGradGuard no_grad;
    for (auto& p : net->parameters()) p.fill_(1);
  }
  CHECK(support::same(fast(x)[0], expected[0]));
  CHECK(support::same(from_file(x)[1], expected[1]));
  CHECK_THROWS_WITH_AS((mnv3::deploy<SmallArch, taps<after<3>>>(path, {.allow_missing = true})),
                       doctest::Contains("allow_missing"), c10::Error);

  std::vector<torch::Tensor> pictures;
  std::vector<torch::Tensor> alone;
  for (int i = 0; i < 4; ++i) {
    pictures.push_back(torch::randn({1, 3, 33 + 8 * i, 47}));
    alone.push_back(fast(pictures.back())[1]);
  }
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round)
        wrong[i] += !support::same(fast(pictures[i])[1], alone[i]);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("the arena is what the compiler said") {
  static_assert(Deployed<LargeArch>::arena_bytes(224, 224) <= 4 * 1024 * 1024);
  using Net = Deployed<SmallArch, taps<after<3>, mnv3::logits>>;
  const auto net = deploy(MobileNetV3<SmallArch, taps<after<3>, mnv3::logits>>());
  for (const int threads : {1, 2, 3})
    for (const int batch : {1, 2, 5}) {
      std::thread([&] {  // a new thread has a new arena
        const ThreadCount count(threads);
        const auto used = [] {
          return mnv3::detail::arena_of_this_thread()->size() *
                 static_cast<std::int64_t>(sizeof(float));
        };
        const torch::Tensor x = torch::rand({batch, 3, 61, 75});
        net(x);
        CHECK(used() == Net::arena_bytes(61, 75, threads, batch));
        const float* const before = mnv3::detail::arena_of_this_thread()->data();
        net(x);
        CHECK(mnv3::detail::arena_of_this_thread()->data() == before);
      })
          .join();
    }
}

TEST_CASE("deploy refuses with a reason") {
  auto net = realistic<SmallArch, taps<after<1>>>();
  {
    const ForcedIsa forced("mmx");
    CHECK_THROWS_WITH_AS(deploy(net), doctest::Contains("portable"), std::invalid_argument);
  }
  const auto fast = deploy(net);
  CHECK_THROWS_WITH_AS(fast(torch::rand({1, 3, 8, 8}, torch::kDouble)),
                       doctest::Contains("deployed for Float"), c10::Error);
  CHECK_THROWS_WITH_AS(fast(torch::rand({1, 4, 8, 8})), doctest::Contains("(N, 3, H, W)"),
                       c10::Error);
  CHECK(fast(torch::rand({0, 3, 8, 8})).sizes() == at::IntArrayRef({0, 16, 2, 2}));

  net->to(torch::kDouble);
  const torch::Tensor x = torch::rand({2, 3, 16, 16}, torch::kDouble);
  CHECK(relative_error(deploy(net)(x), run(net, x)[0]) < 1e-12);
  net->to(torch::kBFloat16);
  CHECK(support::close(deploy(net)(x.to(torch::kBFloat16)), run(net, x.to(torch::kBFloat16))[0],
                       3e-2));
}
