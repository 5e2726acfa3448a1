// SPDX-License-Identifier: MIT
// Our eager forward as a peer of peers.py. Reads lines `net height width batch threads repeats` and
// answers each with as many milliseconds on one line; an empty line or the end of input stops it.

#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <mnv3/mnv3.hpp>

namespace {

using Forward = std::function<void(const torch::Tensor&)>;

template <class Arch, class Taps = mnv3::taps<>>
Forward make_forward() {
  mnv3::MobileNetV3<Arch, Taps> net;
  net->eval();
  mnv3::to_memory_format(*net, torch::MemoryFormat::ChannelsLast);
  return [net](const torch::Tensor& pictures) mutable { net->forward(pictures); };
}

}  // namespace

int main() {
  const torch::NoGradGuard no_grad;
  using mnv3::after;
  std::map<std::string, Forward> nets{
      {"large", make_forward<mnv3::LargeArch>()},
      {"small", make_forward<mnv3::SmallArch>()},
      {"rvm_encoder", make_forward<mnv3::RvmArch, mnv3::taps<after<1>, after<3>, after<6>,
                                                             after<16>>>()},
  };
  for (std::string line; std::getline(std::cin, line) && !line.empty();) {
    std::istringstream fields(line);
    std::string name;
    int height = 0, width = 0, batch = 0, threads = 0, repeats = 0;
    if (!(fields >> name >> height >> width >> batch >> threads >> repeats) ||
        !nets.contains(name)) {
      std::cerr << "not understood: " << line << '\n';
      return 2;
    }
    at::set_num_threads(threads);
    const torch::Tensor pictures =
        torch::rand({batch, 3, height, width}).contiguous(torch::MemoryFormat::ChannelsLast);
    std::string answer;
    for (int i = 0; i < repeats; ++i) {
      const auto start = std::chrono::steady_clock::now();
      nets.at(name)(pictures);
      const std::chrono::duration<double, std::milli> spent =
          std::chrono::steady_clock::now() - start;
      answer += fmt::format("{} ", spent.count());
    }
    std::cout << answer << std::endl;
  }
}
