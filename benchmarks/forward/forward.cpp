// SPDX-License-Identifier: MIT
// Forward passes of each architecture and of taps, in eval mode, channels_last, without autograd.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <torch/version.h>
#include <ATen/Parallel.h>

#include <mnv3/mnv3.hpp>

namespace {

using mnv3::after;
using mnv3::taps;

template <class Arch, class Taps>
void forward(benchmark::State& state, int height, int width) {
  const auto batch = state.range(0);
  at::set_num_threads(static_cast<int>(state.range(1)));
  const torch::NoGradGuard no_grad;
  torch::manual_seed(0);
  mnv3::MobileNetV3<Arch, Taps> net;
  net->eval();
  mnv3::to_memory_format(*net, torch::MemoryFormat::ChannelsLast);
  const torch::Tensor pictures =
      torch::rand({batch, 3, height, width}).contiguous(torch::MemoryFormat::ChannelsLast);
  for (int i = 0; i < 3; ++i) net->forward(pictures);
  for (auto _ : state) benchmark::DoNotOptimize(net->forward(pictures));
  const auto macs = static_cast<double>(mnv3::mac_count<Arch, Taps>(height, width) * batch);
  state.counters["MACs/s"] =
      benchmark::Counter(macs, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["pictures/s"] = benchmark::Counter(static_cast<double>(batch),
                                                    benchmark::Counter::kIsIterationInvariantRate);
}

template <class Arch, class Taps = taps<>>
void add(const std::string& name, int height, int width) {
  benchmark::RegisterBenchmark(
      fmt::format("{}/{}x{}", name, height, width).c_str(),
      [=](benchmark::State& state) { forward<Arch, Taps>(state, height, width); })
      ->ArgNames({"batch", "threads"})
      ->ArgsProduct({{1, 8}, {1, 2}})
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("libtorch", TORCH_VERSION);
  add<mnv3::LargeArch>("large", 224, 224);
  add<mnv3::SmallArch>("small", 224, 224);
  add<mnv3::RvmArch, taps<after<1>, after<3>, after<6>, after<16>>>("rvm_encoder", 288, 512);
  add<mnv3::LargeArch, taps<after<6>>>("large_up_to_6", 224, 224);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
