// SPDX-License-Identifier: MIT
#include <mnv3/deploy/deployed.hpp>

#include <cstdlib>
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
using mnv3::MobileNetV3;
using mnv3::SmallArch;
using mnv3::taps;

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

}  // namespace

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
  // The engine without LibTorch gives the same bits.
  const auto engine = mnv3::Engine<SmallArch, taps<after<3>>>::load(path);
  const auto one = mnv3::deploy<SmallArch, taps<after<3>>>(path);
  for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
    const torch::Tensor seen = torch::randn({2, 3, 47, 33}).contiguous(format);
    const mnv3::FeatureMap map = engine(mnv3::PictureView{.data = seen.data_ptr<float>(),
                                                          .batch = 2,
                                                          .channels = 3,
                                                          .height = 47,
                                                          .width = 33,
                                                          .batch_stride = seen.stride(0),
                                                          .channel_stride = seen.stride(1),
                                                          .row_stride = seen.stride(2),
                                                          .column_stride = seen.stride(3)});
    const torch::Tensor of_engine =
        torch::tensor(at::ArrayRef<float>(map.values().data(), map.values().size()))
            .view({2, map.channels, map.height, map.width});
    CHECK(support::same(one(seen).contiguous(), of_engine));
  }
  CHECK_THROWS_WITH_AS((mnv3::deploy<SmallArch, taps<after<3>>>(path, {.allow_missing = true})),
                       doctest::Contains("allow_missing"), mnv3::WeightsError);

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
  using Net = Deployed<SmallArch, taps<after<3>, mnv3::logits>>;
  const auto net = deploy(MobileNetV3<SmallArch, taps<after<3>, mnv3::logits>>());
  for (const int threads : {1, 2, 3})
    for (const int batch : {1, 2, 5}) {
      std::thread([&] {  // a new thread has a new arena
        const ThreadCount count(threads);
        const auto used = [] {
          return mnv3::engine::arena_of_this_thread()->size() *
                 static_cast<std::int64_t>(sizeof(float));
        };
        const torch::Tensor x = torch::rand({batch, 3, 61, 75});
        net(x);
        CHECK(used() == Net::arena_bytes(61, 75, threads, batch));
        const float* const before = mnv3::engine::arena_of_this_thread()->data();
        net(x);
        CHECK(mnv3::engine::arena_of_this_thread()->data() == before);
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
