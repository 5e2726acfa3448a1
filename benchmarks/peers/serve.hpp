// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <mnv3/mnv3.hpp>

// A peer of peers.py: a program PEER MODELS THREADS that prints `ready VERSIONS` and then answers
// each line of its standard input with one line, `ok ...` or `failed REASON`:
//
//   check NET HEIGHT WIDTH BATCH         relative L2 difference of its output from the reference
//   time NET HEIGHT WIDTH BATCH PASSES   milliseconds of each forward pass
//   macs NET HEIGHT WIDTH                multiply-accumulates for one picture (mnv3's only)
//
// The folder MODELS is what prepare.py writes. With `nchw` as a third argument pictures are in that
// layout, and so are the feature maps that come back; otherwise both are channels_last.

namespace peers {

namespace fs = std::filesystem;

using Forward = std::function<std::vector<torch::Tensor>(const torch::Tensor&)>;

struct Network {
  std::function<Forward(const fs::path& checkpoint)> make;
  std::function<std::int64_t(std::int64_t height, std::int64_t width)> macs;
};

inline std::vector<torch::Tensor> outputs(torch::Tensor logits) { return {std::move(logits)}; }

template <std::size_t N>
std::vector<torch::Tensor> outputs(std::array<torch::Tensor, N> taps) {
  return {std::make_move_iterator(taps.begin()), std::make_move_iterator(taps.end())};
}

/// `runtime(net)` returns what is timed: a callable that takes the pictures.
template <class Arch, class Taps, class Runtime>
Network network(Runtime runtime) {
  return {.make = [runtime](const fs::path& checkpoint) -> Forward {
            mnv3::MobileNetV3<Arch, Taps> net;
            if (fs::exists(checkpoint)) mnv3::load(net, checkpoint.string());
            net->eval();
            const auto forward = std::make_shared<decltype(runtime(net))>(runtime(net));
            return
                [forward](const torch::Tensor& pictures) { return outputs((*forward)(pictures)); };
          },
          .macs = [](std::int64_t height,
                     std::int64_t width) { return mnv3::mac_count<Arch, Taps>(height, width); }};
}

inline torch::Tensor read_floats(const fs::path& file) {
  return torch::from_file(file.string(), /*shared=*/false,
                          static_cast<std::int64_t>(fs::file_size(file) / sizeof(float)));
}

class Server {
 public:
  Server(fs::path models, torch::MemoryFormat layout, std::map<std::string, Network> networks)
      : models_(std::move(models)), layout_(layout), networks_(std::move(networks)) {}

  /// Answers one request.
  std::string answer(const std::string& line) {
    std::istringstream fields(line);
    std::string request, net;
    std::int64_t height = 0, width = 0, batch = 0, passes = 0;
    fields >> request >> net >> height >> width >> batch >> passes;
    if (request == "macs") return std::to_string(networks_.at(net).macs(height, width));
    const std::string stem = fmt::format("{}_{}x{}_{}", net, height, width, batch);
    const torch::Tensor pictures = input(stem, {batch, 3, height, width});
    if (request == "check") return fmt::format("{:g}", difference(forward(net), pictures, stem));
    if (request == "time") return milliseconds(forward(net), pictures, passes);
    throw std::invalid_argument("not understood: " + line);
  }

 private:
  fs::path models_;
  torch::MemoryFormat layout_;
  std::map<std::string, Network> networks_;
  std::map<std::string, Forward> made_;

  Forward& forward(const std::string& net) {
    if (!made_.contains(net)) made_[net] = networks_.at(net).make(models_ / (net + ".pth"));
    return made_[net];
  }

  torch::Tensor input(const std::string& stem, at::IntArrayRef sizes) const {
    const fs::path file = models_ / (stem + ".in");
    const torch::Tensor pictures =
        fs::exists(file) ? read_floats(file).view(sizes) : torch::rand(sizes);
    return pictures.contiguous(layout_);
  }

  double difference(Forward& forward, const torch::Tensor& pictures,
                    const std::string& stem) const {
    std::vector<torch::Tensor> flat;
    for (const torch::Tensor& output : forward(pictures))
      flat.push_back(output.contiguous().flatten().to(torch::kDouble));
    const torch::Tensor reference = read_floats(models_ / (stem + ".out")).to(torch::kDouble);
    return ((torch::cat(flat) - reference).norm() / reference.norm()).item<double>();
  }

  static std::string milliseconds(Forward& forward, const torch::Tensor& pictures,
                                  std::int64_t passes) {
    std::string times;
    for (std::int64_t i = 0; i < passes; ++i) {
      const auto start = std::chrono::steady_clock::now();
      forward(pictures);
      const std::chrono::duration<double, std::milli> spent =
          std::chrono::steady_clock::now() - start;
      times += fmt::format("{} ", spent.count());
    }
    return times;
  }
};

/// The main function of a peer; see `network` for `runtime`.
template <class Runtime>
int serve(int argc, char** argv, Runtime runtime) {
  using mnv3::after;
  const bool nchw = argc == 4 && std::string_view(argv[3]) == "nchw";
  if (argc != 3 && !nchw) {
    std::cerr << "usage: " << argv[0] << " MODELS THREADS [nchw]\n";
    return 2;
  }
  const torch::NoGradGuard no_grad;
  at::set_num_threads(std::atoi(argv[2]));
  using RvmTaps = mnv3::taps<after<1>, after<3>, after<6>, after<16>>;
  Server server(argv[1],
                nchw ? torch::MemoryFormat::Contiguous : torch::MemoryFormat::ChannelsLast,
                {{"large", network<mnv3::LargeArch, mnv3::taps<>>(runtime)},
                          {"small", network<mnv3::SmallArch, mnv3::taps<>>(runtime)},
                          {"rvm_encoder", network<mnv3::RvmArch, RvmTaps>(runtime)}});
  std::cout << "ready LibTorch " << TORCH_VERSION << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << "ok " << server.answer(line) << std::endl;
    } catch (const std::exception& error) {
      std::string what = error.what();
      std::cout << "failed " << what.substr(0, what.find('\n')) << std::endl;
    }
  }
  return 0;
}

}  // namespace peers
