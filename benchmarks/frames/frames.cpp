// SPDX-License-Identifier: MIT
// Camera frames through Small: bytes into the engine, against bytes that LibTorch converts for what
// is deployed of the same weights. Both take turns; the medians of the rounds and their ratio are
// printed. The engine's first layer reads the bytes; LibTorch makes a float copy, normalised.
//
//   mnv3_frames [ROUNDS]
//
// On 2 cores of an AMD EPYC, a shared machine, AVX2, LibTorch 1.13.0, Small up to stride 16, medians
// of 20 rounds, engine against conversion and deployed, in ms:
//
//   480 x 640, 1 thread     10.04  13.97  1.34 times
//   1080 x 1920, 1 thread   81.90 108.47  1.33
//   480 x 640, 2 threads     7.12   9.34  1.31
//   1080 x 1920, 2 threads  41.33  58.87  1.37

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <mnv3/engine.hpp>
#include <mnv3/mnv3.hpp>

namespace {

using Clock = std::chrono::steady_clock;
using Taps = mnv3::taps<mnv3::at_stride<16>>;
using Engine = mnv3::Engine<mnv3::SmallArch, Taps>;

double milliseconds(auto action) {
  const auto start = Clock::now();
  action();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

void measure(std::int64_t height, std::int64_t width, int threads, int rounds) {
  at::set_num_threads(threads);
  mnv3::MobileNetV3<mnv3::SmallArch, Taps> net;
  net->eval();
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "mnv3-frames.pth";
  mnv3::save(net, file);
  const auto fast = mnv3::deploy(net);
  const Engine engine = Engine::load(file);
  std::filesystem::remove(file);

  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(height * width * 3));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 31);
  const torch::Tensor bytes = torch::from_blob(pixels.data(), {1, height, width, 3}, torch::kByte);
  const auto per_channel = [](const std::array<double, 3>& values) {
    return torch::tensor(at::ArrayRef<double>(values), torch::kFloat).view({1, 3, 1, 1});
  };
  const torch::Tensor mean = per_channel(mnv3::imagenet_mean);
  const torch::Tensor std = per_channel(mnv3::imagenet_std);
  std::vector<float> map(static_cast<std::size_t>(Engine::output_size(0, height, width)));

  std::vector<double> ours, theirs, ratios;
  for (int round = 0; round < rounds + 2; ++round) {
    const double of_engine = milliseconds([&] {
      engine(mnv3::openmp_threads(threads), mnv3::Frame::rgb(pixels.data(), height, width), map);
    });
    const double of_torch = milliseconds([&] {
      const torch::Tensor x =  // channels_last, as the bytes are
          bytes.permute({0, 3, 1, 2}).to(torch::kFloat).div_(255).sub_(mean).div_(std);
      fast(x);
    });
    if (round < 2) continue;  // they fill the caches
    ours.push_back(of_engine);
    theirs.push_back(of_torch);
    ratios.push_back(of_torch / of_engine);
  }
  fmt::print(
      "{} x {}, {} thread{}: engine {:.2f} ms, LibTorch's conversion and deployed {:.2f} ms, "
      "{:.2f} times\n",
      height, width, threads, threads > 1 ? "s" : "", median(ours), median(theirs), median(ratios));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 40;
  fmt::print("Small up to stride 16, RGB bytes, {}, LibTorch {}\n", name_of(mnv3::selected_isa()),
             TORCH_VERSION);
  for (const int threads : {1, 2})
    for (const auto& [height, width] : {std::pair{480, 640}, std::pair{1080, 1920}})
      measure(height, width, threads, rounds);
}
