// SPDX-License-Identifier: MIT
// Random sizes, batches, layouts and threads in buffers of the exact size, for AddressSanitizer and
// UndefinedBehaviorSanitizer. Every instruction set is held against the reference, which also finds
// what nobody wrote and what was read before that: it is NaN.
//
//   mnv3_kernels_bounds [SEED [DRAWS]]

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#include "kernels/subject.hpp"

namespace {

using kernels::Floats;
using kernels::Pictures;

std::string current;  // what is running, for a sanitizer's last words

/// One tap of the reference, for a whole batch.
struct Expected {
  std::vector<double> values;  ///< In the order that was asked for.
  double largest = 0;
};

/// What every tap should give.
std::vector<Expected> expect(const kernels::Subject& subject, const Pictures& pictures,
                             bool channels_last) {
  std::vector<Expected> expected(subject.taps().size());
  for (std::int64_t i = 0; i < pictures.size; ++i) {
    const auto maps = kernels::reference::run(subject.net(), subject.products(), pictures.map(i));
    for (std::size_t k = 0; k < expected.size(); ++k) {
      const kernels::reference::Map& map = maps.at(subject.taps()[k].position);
      const std::size_t channels = map.channels.size();
      const std::size_t pixels = map.channels[0].size();
      for (std::size_t at = 0; at < channels * pixels; ++at) {
        const std::size_t channel = channels_last ? at % channels : at / pixels;
        const double value = map.channels[channel][channels_last ? at / channels : at % pixels];
        expected[k].values.push_back(value);
        expected[k].largest = std::max(expected[k].largest, std::abs(value));
      }
    }
  }
  return expected;
}

/// How far a tap may be from the reference, of its largest value: what rounding comes to.
///
/// A sum of n products is off by at most n roundings of the sum of their magnitudes (Higham,
/// Accuracy and Stability of Numerical Algorithms, section 3.1), and by far less as a rule, since
/// they go either way; 8 more are the weight's own, the norm's and the activation's. What is kept
/// as bfloat16 is rounded to its 8 digits besides. Each layer adds its own to what it is given, and
/// hands that on at about the same scale; squeeze-and-excitation multiplies two values that have
/// it, hence twice the sum.
double tolerance(const kernels::Subject& subject, const mnv3::TapInfo& tap) {
  constexpr double rounding = 0x1p-24;
  constexpr double bfloat16_rounding = 0x1p-8;
  double sum = 0;
  const auto add = [&](int depth) {
    sum += rounding * (depth + 8) + (subject.is_bfloat16() ? bfloat16_rounding : 0);
  };
  mnv3::for_each_layer(subject.net(), [&](const mnv3::Layer& layer) {
    if (layer.position > tap.position) return;
    const mnv3::Conv2dNormActivationConfig& c = layer.conv;
    add(c.in_channels / c.groups * c.kernel * c.kernel);
    if (layer.kind == mnv3::Layer::Kind::squeeze_excitation) add(c.out_channels);
  });
  return 2 * sum;
}

/// The largest error of a tap, of its largest value: NaN if there is one, infinite where the sizes
/// differ.
double error_of(const Floats& output, const Expected& expected) {
  if (output.size() != expected.values.size()) return std::numeric_limits<double>::infinity();
  double error = 0;
  for (std::size_t i = 0; i < output.size(); ++i) {
    const double difference = std::abs(static_cast<double>(output[i]) - expected.values[i]);
    if (!(difference <= error)) error = difference;
  }
  return error == 0 ? 0 : error / expected.largest;
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

/// The largest error of each network on each instruction set, of what is allowed there.
std::map<std::pair<std::string, std::string>, double> worst;

/// One case for every instruction set; the number of wrong outputs.
int check(const kernels::Subject& subject, const Case& given, std::mt19937& random) {
  const auto& [extent, batch, threads, layout, channels_last] = given;
  const int channels = subject.net().settings.input.channels;
  const Pictures pictures(batch, channels, extent, layout, random);
  const std::vector<Expected> expected = expect(subject, pictures, channels_last);
  int wrong = 0;
  for (const mnv3::Isa isa : subject.instruction_sets()) {
    current = subject.name() + ": " + std::to_string(batch) + " x " + std::to_string(channels) +
              " x " + std::to_string(extent.height) + " x " + std::to_string(extent.width) +
              ", layout " + std::to_string(layout) + ", " + std::to_string(threads) + " threads, " +
              std::string(name_of(isa));
    const auto outputs = subject.run(isa, pictures, channels_last, threads);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const double error = error_of(outputs[i], expected[i]);
      const double allowed = tolerance(subject, subject.taps()[i]);
      double& most = worst[{subject.name(), std::string(name_of(isa))}];
      most = std::max(most, error / allowed);
      if (error <= allowed) continue;
      std::printf("FAILED %s: output %zu is off by %.1e of its largest value, allowed is %.1e\n",
                  current.c_str(), i, error, allowed);
      ++wrong;
    }
  }
  return wrong;
}

}  // namespace

int main(int count, char** arguments) {
  const unsigned seed = count > 1 ? static_cast<unsigned>(std::stoul(arguments[1])) : 1;
  const int draws = count > 2 ? std::stoi(arguments[2]) : 60;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_set_death_callback([] { std::fprintf(stderr, "it ran %s\n", current.c_str()); });
#endif
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<kernels::Subject>> subjects;
  for (const auto make :
       {kernels::every_kernel, kernels::every_tap, kernels::cut_short, kernels::varied,
        kernels::unhidden, kernels::unclosed, kernels::every_kernel_in_bfloat16,
        kernels::every_tap_in_bfloat16, kernels::varied_in_bfloat16, kernels::unclosed_in_bfloat16})
    subjects.push_back(make());
  int wrong = 0;
  for (const auto& subject : subjects) wrong += check(*subject, unaligned_channels, random);
  for (int i = 0; i < draws; ++i)
    for (const auto& subject : subjects) wrong += check(*subject, draw_case(random), random);
  for (const auto& [of, error] : worst)
    std::printf("%-32s %-9s at most %.3f of what rounding explains\n", of.first.c_str(),
                of.second.c_str(), error);
  std::printf("seed %u, %d draws of %zu networks for each instruction set, %d wrong outputs\n",
              seed, draws, subjects.size(), wrong);
  return wrong != 0;
}
