// SPDX-License-Identifier: MIT
// Random networks, sizes, batches, layouts and threads in buffers of the exact size, for
// AddressSanitizer and UndefinedBehaviorSanitizer. Without them, it still finds what nobody wrote,
// what was read before, and what depends on the instruction set or on the threads.
//
//   mnv3_kernels_bounds [SEED [DRAWS]]

#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#include "kernels/subject.hpp"

namespace {

using kernels::Floats;
using kernels::Pictures;

std::string current;  // what is running, for a sanitizer's last words

/// Relative L2 distance; NaN if there is one in either.
double distance(const Floats& a, const Floats& b) {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

/// What a network is given and how it runs.
struct Case {
  kernels::Extent extent;
  int batch;
  int threads;
  Pictures::Layout layout;
  bool channels_last;
};

/// Features of 17 x 15, 9 x 8 and 5 x 4 pixels: where they are given out as NCHW, a channel begins
/// anywhere, and four pixels of it are no vector.
constexpr Case unaligned_channels{
    .extent = {33, 29}, .batch = 1, .threads = 1, .layout = Pictures::nchw, .channels_last = false};

Case draw_case(std::mt19937& random) {
  const auto draw = [&](int from, int to) {
    return std::uniform_int_distribution(from, to)(random);
  };
  return {.extent = {draw(1, 40), draw(1, 40)},
          .batch = draw(0, 1) ? 1 : draw(2, 5),
          .threads = draw(1, 5),
          .layout = static_cast<Pictures::Layout>(draw(0, 3)),
          .channels_last = draw(0, 1) == 1};
}

/// One case for every instruction set; the number of wrong outputs.
int check(const kernels::Subject& subject, const Case& given, std::mt19937& random) {
  const auto& [extent, batch, threads, layout, channels_last] = given;
  const Pictures pictures(batch, subject.channels(), extent, layout, random);
  std::vector<Floats> expected;
  int wrong = 0;
  for (const mnv3::Isa isa : subject.instruction_sets()) {
    current = subject.name() + ": " + std::to_string(batch) + " x " +
              std::to_string(subject.channels()) + " x " + std::to_string(extent.height) + " x " +
              std::to_string(extent.width) + ", layout " + std::to_string(layout) + ", " +
              std::to_string(threads) + " threads, " + std::string(name_of(isa));
    if (expected.empty()) expected = subject.run(isa, pictures, channels_last, 1);
    const auto outputs = subject.run(isa, pictures, channels_last, threads);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const double error = distance(outputs[i], expected[i]);
      // Where threads share a picture, sums for squeeze-and-excitation differ, and what is rounded.
      if (error < (subject.is_bfloat16() ? 0.1 : 1e-4)) continue;
      std::printf("FAILED %s: output %zu differs by %.1e\n", current.c_str(), i, error);
      ++wrong;
    }
  }
  return wrong;
}

}  // namespace

int main(int count, char** arguments) {
  const unsigned seed = count > 1 ? static_cast<unsigned>(std::stoul(arguments[1])) : 1;
  const int draws = count > 2 ? std::stoi(arguments[2]) : 200;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_set_death_callback([] { std::fprintf(stderr, "it ran %s\n", current.c_str()); });
#endif
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<kernels::Subject>> subjects;
  for (const auto make : {kernels::every_kernel, kernels::every_tap, kernels::cut_short,
                          kernels::every_kernel_in_bfloat16, kernels::every_tap_in_bfloat16})
    subjects.push_back(make());
  int wrong = 0;
  for (const auto& subject : subjects) wrong += check(*subject, unaligned_channels, random);
  for (int i = 0; i < draws; ++i)
    for (const auto& subject : subjects) wrong += check(*subject, draw_case(random), random);
  std::printf("seed %u, %d draws of %zu networks for each instruction set, %d wrong outputs\n",
              seed, draws, subjects.size(), wrong);
  return wrong != 0;
}
