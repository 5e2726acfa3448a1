// SPDX-License-Identifier: MIT
// Our side of load.py: for each line of standard input, the path of a Large checkpoint, answers
// with the seconds that loading the whole network took, those of the encoder up to features.6, and
// the bytes that were read for each.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <mnv3/mnv3.hpp>

namespace {

template <class Net>
std::pair<double, std::uint64_t> measure(Net& net, const std::string& path) {
  const auto start = std::chrono::steady_clock::now();
  const mnv3::LoadReport report = mnv3::load(net, path);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {seconds.count(), report.bytes_read};
}

}  // namespace

int main() try {
  mnv3::MobileNetV3<mnv3::LargeArch> whole;
  mnv3::MobileNetV3<mnv3::LargeArch, mnv3::taps<mnv3::after<6>>> encoder;
  for (std::string path; std::getline(std::cin, path);) {
    const auto [seconds, bytes] = measure(whole, path);
    const auto [encoder_seconds, encoder_bytes] = measure(encoder, path);
    fmt::print("{} {} {} {}\n", seconds, bytes, encoder_seconds, encoder_bytes);
    std::fflush(stdout);
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
