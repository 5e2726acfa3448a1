// SPDX-License-Identifier: MIT
// What a deployed network may be given and must refuse, and when it may be called.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "doctest_torch.hpp"
#include "unit/nn/support.hpp"

#include <mnv3/config.hpp>
#include <mnv3/deploy/deployed.hpp>

namespace {

using mnv3::after;
using mnv3::deploy;
using mnv3::Deployed;
using mnv3::Isa;
using mnv3::MobileNetV3;
using mnv3::taps;

// Without squeeze-and-excitation, which would carry one NaN everywhere.
struct LocalArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 8, 8, false, RE, 1},
      {8, 5, 24, 13, false, HS, 2},
      {13, 3, 40, 13, false, HS, 1, 2},
  });
  static constexpr mnv3::Settings settings{.num_classes = 3, .last_channel = 8};
};
using AllOfLocal =
    taps<after<0>, after<1>, mnv3::expansion<2>, after<2>, mnv3::expansion<3>, after<3>, after<4>>;
using Local = MobileNetV3<LocalArch, AllOfLocal>;

Local network() {
  torch::manual_seed(5);
  Local net;
  net->train();
  const torch::NoGradGuard no_grad;
  for (int i = 0; i < 200; ++i) net->forward(torch::randn({4, 3, 17, 17}));
  net->eval();
  return net;
}

auto run(Local& net, const torch::Tensor& x) {
  const torch::NoGradGuard no_grad;
  return net->forward(x);
}

bool near(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::allclose(a, b, 1e-3, 1e-4);
}

TEST_CASE("NaN and infinity come out where the module puts them, and nowhere else") {
  using Limits = std::numeric_limits<float>;
  auto net = network();
  for (const Isa isa : mnv3::all_isas) {
    if (!mnv3::is_available(isa)) continue;
    setenv("MNV3_ISA", std::string(name_of(isa)).c_str(), 1);
    const auto fast = deploy(net);
    unsetenv("MNV3_ISA");
    for (const float value : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()})
      for (const auto format :
           {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
        CAPTURE(name_of(isa));
        CAPTURE(value);
        torch::Tensor x = torch::randn({1, 3, 40, 40}).contiguous(format);
        x[0][1][7][9] = value;
        const auto expected = run(net, x);
        const auto outputs = fast(x);
        for (std::size_t t = 0; t < outputs.size(); ++t) {
          CAPTURE(t);
          const torch::Tensor finite = expected[t].isfinite();
          CHECK(torch::equal(outputs[t].isnan(), expected[t].isnan()));
          CHECK(torch::equal(outputs[t].isposinf(), expected[t].isposinf()));
          CHECK(torch::equal(outputs[t].isneginf(), expected[t].isneginf()));
          CHECK(finite.any().item<bool>());
          CHECK(near(outputs[t].masked_select(finite), expected[t].masked_select(finite)));
        }
      }
  }
}

TEST_CASE("what LibTorch has put off is done before the kernels read") {
  auto net = network();
  const auto fast = deploy(net);
  const torch::Tensor plain = torch::randn({1, 3, 17, 19});
  const torch::Tensor negated =
      torch::imag(torch::complex(torch::zeros_like(plain), -plain).conj());
  REQUIRE(negated.is_neg());
  CHECK(support::same(fast(negated)[6], fast(plain)[6]));
  const torch::Tensor zeros = torch::_efficientzerotensor({1, 3, 17, 19}, torch::kFloat);
  CHECK(support::same(fast(zeros)[6], fast(torch::zeros({1, 3, 17, 19}))[6]));
  torch::Tensor graded = plain.clone().requires_grad_();
  CHECK_FALSE(fast(graded)[6].requires_grad());
}

TEST_CASE("a deployed network that was moved from is still one") {
  auto net = network();
  auto first = deploy(net);
  const torch::Tensor x = torch::randn({1, 3, 9, 9});
  const auto expected = first(x)[6];
  const auto second = std::move(first);
  CHECK(support::same(first(x)[6], expected));  // NOLINT(bugprone-use-after-move)
  CHECK(support::same(second(x)[6], expected));
}

// Destroyed after the thread's arena, which is made later.
template <class Net>
struct CallsAtTheEnd {
  const Net* net = nullptr;
  torch::Tensor x{}, expected{};
  bool* agrees = nullptr;
  ~CallsAtTheEnd() {
    if (net) *agrees = support::same((*net)(x)[6], expected);
  }
};

TEST_CASE("a network may be called from a destructor at the end of its thread") {
  auto net = network();
  const auto fast = deploy(net);
  bool agrees = false;
  std::thread([&] {
    thread_local CallsAtTheEnd<std::remove_const_t<decltype(fast)>> last;
    last.x = torch::randn({1, 3, 33, 31});
    last.agrees = &agrees;
    last.expected = fast(last.x)[6];
    last.net = &fast;
  }).join();
  CHECK(agrees);
}

TEST_CASE("a deployed network says what it cannot take") {
  auto net = network();
  const auto fast = deploy(net);
  const auto refuses = [&](const torch::Tensor& x, const char* why) {
    CHECK_THROWS_WITH_AS(fast(x), doctest::Contains(why), c10::Error);
  };
  const torch::Tensor x = torch::rand({1, 3, 8, 8});
  refuses(torch::Tensor(), "the network was given an undefined tensor");
  refuses(x[0], "the network takes (N, 3, H, W) or (B, T, 3, H, W)");
  refuses(torch::rand({1, 4, 8, 8}), "but was given [1, 4, 8, 8]");
  refuses(x.to(torch::kByte), "convert with x.to(torch::kFloat)");
  refuses(x.to(torch::kDouble), "deployed for Float on cpu, but was given Double on cpu");
  refuses(x.to_sparse(), "takes dense tensors, but was given one of layout Sparse");
  CHECK_THROWS_WITH_AS(
      (Deployed<LocalArch, AllOfLocal>(mnv3::state_dict(*net), torch::kInt, torch::kCPU)),
      doctest::Contains("floating-point type"), c10::Error);
}

// Tensors of one number, which `expand` makes as large as one likes.
TEST_CASE("sizes beyond all memory are refused before anything is computed from them") {
  constexpr std::int64_t huge = std::int64_t{1} << 50;
  auto net = network();
  const auto fast = deploy(net);
  net->to(torch::kDouble);
  const auto folded = deploy(net);
  const auto refuses = [&](at::IntArrayRef sizes) {
    CAPTURE(sizes);
    std::vector<std::int64_t> ones(sizes.size(), 1);
    ones[ones.size() - 3] = 3;
    const torch::Tensor one = torch::ones(ones);
    const std::string given =
        c10::str("needs less than 2^60 bytes of memory, but was given ", sizes);
    CHECK_THROWS_WITH_AS(fast(one.expand(sizes)), doctest::Contains(given.c_str()), c10::Error);
    CHECK_THROWS_WITH_AS(folded(one.to(torch::kDouble).expand(sizes)),
                         doctest::Contains(given.c_str()), c10::Error);
  };
  refuses({1, 3, 883038159, 1044504335});
  refuses({1, 3, 1 << 25, 1 << 25});
  refuses({1, 3, huge, 1});
  refuses({1, 3, 1, huge});
  refuses({huge, 3, 1, 1});
  refuses({std::int64_t{1} << 60, 3, 1, 1});
  refuses({1 << 30, 1 << 30, 3, 1, 1});
  CHECK_THROWS_WITH_AS(fast(torch::ones({0, 3, 1, 1}).expand({0, 3, 883038159, 1044504335})),
                       doctest::Contains("needs less than 2^60 bytes"), c10::Error);
}

TEST_CASE("the memory of sizes that nobody can mean is not computed") {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const auto refuses = [](std::int64_t height, std::int64_t width, std::int64_t threads,
                          std::int64_t batch) {
    const std::string asked = c10::str("asked for with height ", height, ", width ", width, ", ",
                                       threads, " threads and batch ", batch, "; ask for smaller");
    CHECK_THROWS_WITH_AS(
        (Deployed<LocalArch, AllOfLocal>::arena_bytes(height, width, threads, batch)),
        doctest::Contains(asked.c_str()), std::invalid_argument);
  };
  refuses(883038159, 1044504335, 1, 1);
  refuses(most, 1, 1, 1);
  refuses(1, most, 1, 1);
  refuses(1, 1, most, 1);
  refuses(1, 1, 1, most);
  refuses(1, 1, std::int64_t{1} << 40, std::int64_t{1} << 40);
  refuses(0, 1, 1, 1);
  refuses(1, 0, 1, 1);
  refuses(1, 1, 0, 1);
  refuses(1, 1, 1, 0);
  refuses(-1, 1, 1, 1);
  refuses(1, -1, 1, 1);
  refuses(1, 1, -1, 1);
  refuses(1, 1, 1, -1);
}

}  // namespace
