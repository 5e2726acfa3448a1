// SPDX-License-Identifier: MIT
// Our side of train.py: steps of training of Small, channels_last. Called as
//
//   train THREADS [released]
//
// it prints `ready VERSION` and answers each line of its standard input with one, `ok ...` or
// `failed REASON`:
//
//   step BATCH SIZE STEPS [recompute]   milliseconds of each step
//   peak                                the most memory that the process has had at once, in MiB
//
// With `released` glibc is left as it comes, and gives freed memory back to the system.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>
#include <torch/version.h>

#include <mnv3/nn.hpp>
#include <mnv3/nn/recompute.hpp>
#include <mnv3/train/losses.hpp>
#include <mnv3/train/memory.hpp>

namespace {

using Net = mnv3::MobileNetV3<mnv3::SmallArch>;

/// The forward pass; `recompute` runs every feature again in the backward pass.
torch::Tensor run(Net& net, torch::Tensor x, bool recompute) {
  if (!recompute) return net->forward(x);
  for (const mnv3::Feature& feature : net->features)
    x = mnv3::recomputed(
        *feature,
        [feature](torch::nn::Module&, const torch::Tensor& input) { return feature(input); }, x);
  x = mnv3::nn::pool(mnv3::SmallArch::settings.pooling, x);
  return net->classifier->classify(net->classifier->embed(x));
}

class Server {
 public:
  Server() {
    torch::manual_seed(0);
    mnv3::to_memory_format(*net_, torch::MemoryFormat::ChannelsLast);
    net_->train();
  }

  std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string request, how;
    std::int64_t batch = 0, size = 0, steps = 0;
    words >> request >> batch >> size >> steps >> how;
    if (request == "peak") return fmt::format("{}", peak());
    if (request != "step") throw std::invalid_argument("not understood: " + line);
    const auto pictures =
        torch::randn({batch, 3, size, size}).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto labels = torch::randint(1000, {batch}, torch::kLong);
    std::string times;
    for (std::int64_t i = 0; i < steps; ++i) {
      const auto start = std::chrono::steady_clock::now();
      optimizer_.zero_grad();
      mnv3::train::cross_entropy(run(net_, pictures, how == "recompute"), labels).backward();
      optimizer_.step();
      const std::chrono::duration<double, std::milli> spent =
          std::chrono::steady_clock::now() - start;
      times += fmt::format("{} ", spent.count());
    }
    return times;
  }

 private:
  static long peak() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) / 1024;
    return 0;
  }

  Net net_;
  torch::optim::SGD optimizer_{net_->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9)};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::cerr << "usage: " << argv[0] << " THREADS [released]\n";
    return 2;
  }
  const bool is_kept = argc == 2 && mnv3::train::keep_freed_memory();
  at::set_num_threads(std::atoi(argv[1]));
  Server server;
  std::cout << "ready LibTorch " << TORCH_VERSION << (is_kept ? ", memory kept" : "") << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << "ok " << server.answer(line) << std::endl;
    } catch (const std::exception& error) {
      const std::string what = error.what();
      std::cout << "failed " << what.substr(0, what.find('\n')) << std::endl;
    }
  }
}
