// SPDX-License-Identifier: MIT
// Random pictures through deployed networks, compared with their modules in float64.
//
// An output may be off by a relative L2 of 2e-6. Deep networks of random weights amplify rounding
// so much that the module in float32 does not get there itself; then the output may be off by ten
// times what the module's is, since one of them may be lucky. All of a network's outputs together
// may be off by half more than the module's. The table says how many outputs are above the limit.
//
//   mnv3_deploy_accuracy [SEED [ROUNDS]]

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include "deploy_accuracy/subject.hpp"

namespace {

using accuracy::Subject;
using accuracy::Tensors;

/// Of the L2 norm of the difference to the L2 norm of the exact output.
constexpr double limit = 2e-6;
/// Of our error to the float32 module's: for an output above the limit, and the geometric mean for
/// all of a network's.
constexpr double single_ratio = 10;
constexpr double mean_ratio = 1.5;
constexpr int draws_per_round = 6;
/// In one batch: float64 is slow.
constexpr int most_pixels = 30'000;

constexpr std::array layouts{"NCHW",       "channels_last",   "cropped",
                             "transposed", "strided",         "one picture, again",
                             "5-D",        "5-D, time first", "5-D, no time"};

struct Size {
  int height, width;
};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) { torch::manual_seed(seed); }

  int from(int first, int last) { return std::uniform_int_distribution(first, last)(engine_); }
  /// From 1 up: tiny, moderate (mostly) or large.
  int side() {
    static constexpr std::array<std::array<int, 2>, 5> ranges{
        {{1, 3}, {2, 24}, {24, 80}, {40, 112}, {96, 200}}};
    const auto range = ranges[static_cast<std::size_t>(from(0, 4))];
    return from(range[0], range[1]);
  }
  /// About as large.
  int near(int side) { return from(std::max(side * 3 / 4, 1), side * 5 / 4); }

 private:
  std::mt19937 engine_;
};

/// Coarse shapes with fine noise.
torch::Tensor pictures(const Subject& subject, int batch, const Size& size) {
  namespace F = torch::nn::functional;
  const int n = std::max(batch, 1);
  const auto options = F::InterpolateFuncOptions()
                           .size(std::vector<std::int64_t>{size.height, size.width})
                           .mode(torch::kBilinear)
                           .align_corners(false);
  torch::Tensor x = F::interpolate(torch::rand({n, subject.channels(), 6, 6}), options) * 0.7 +
                    torch::rand({n, subject.channels(), size.height, size.width}) * 0.3;
  if (!subject.normalizes()) x = (x - 0.5) / 0.25;
  return x.slice(0, 0, batch).contiguous();
}

/// The same pictures in another layout.
torch::Tensor laid_out(const torch::Tensor& x, int layout) {
  const std::int64_t n = x.size(0), channels = x.size(1), h = x.size(2), w = x.size(3);
  switch (layout) {
    case 1:
      return x.contiguous(torch::MemoryFormat::ChannelsLast);
    case 2: {
      const auto whole = torch::full({n, channels + 1, h + 3, w + 2}, 1e30F);
      return whole.slice(1, 1).slice(2, 1, h + 1).slice(3, 2).copy_(x);
    }
    case 3:
      return x.transpose(2, 3).contiguous().transpose(2, 3);
    case 4: {
      const auto whole = torch::full({2 * n, channels, 2 * h, 3 * w}, 1e30F);
      return whole.slice(0, 0, 2 * n, 2).slice(2, 1, 2 * h, 2).slice(3, 2, 3 * w, 3).copy_(x);
    }
    case 5:
      return n > 0 ? x.slice(0, 0, 1).expand(x.sizes()) : x;
    case 6:
      return x.unflatten(0, n % 3 == 0 ? at::IntArrayRef{3, n / 3} : at::IntArrayRef{1, n});
    case 7:
      return x.unflatten(0, n % 2 == 0 ? at::IntArrayRef{n / 2, 2} : at::IntArrayRef{n, 1})
          .transpose(0, 1);
    case 8:
      return x.slice(0, 0, 0).unflatten(0, {2, 0});
    default:
      return x;
  }
}

/// Whether the two are laid out alike. Strides of dimensions of size 1 mean nothing.
bool same_layout(const torch::Tensor& x, const torch::Tensor& y) {
  if (x.sizes() != y.sizes()) return false;
  for (std::int64_t i = 0; i < x.dim(); ++i)
    if (x.size(i) != 1 && x.stride(i) != y.stride(i)) return false;
  return true;
}

double relative_error(const torch::Tensor& x, const torch::Tensor& exact) {
  return ((x.to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
}

/// What became of one network.
struct Score {
  struct PerIsa {
    double worst = 0;
    double log_ratios = 0;  ///< Of our errors to the module's.
    int above = 0;          ///< Outputs above the limit.
  };
  std::vector<PerIsa> isas = std::vector<PerIsa>(accuracy::instruction_sets().size());
  double module_worst = 0;
  int outputs = 0;  ///< Compared, for each instruction set.
  int module_above = 0;
  int draws = 0;
  int faults = 0;
};

void compare(Subject& subject, const torch::Tensor& x, const std::string& title, int threads,
             Score& score) {
  at::set_num_threads(2);
  const Tensors exact = subject.exact(x);
  const Tensors module = subject.module(x);
  at::set_num_threads(threads);
  const auto fault = [&](std::size_t tap, const std::string& what) {
    fmt::print("FAILED {}, output {}: {}\n", title, tap, what);
    ++score.faults;
  };
  const auto isas = accuracy::instruction_sets();
  for (std::size_t i = 0; i < isas.size(); ++i) {
    const Tensors outputs = subject.deployed(isas[i], x);
    for (std::size_t tap = 0; tap < exact.size(); ++tap) {
      const torch::Tensor& y = outputs[tap];
      if (!same_layout(y, module[tap]))
        fault(tap, fmt::format("shape {}, strides {}; of the module {}, {}", y.sizes(), y.strides(),
                               module[tap].sizes(), module[tap].strides()));
      if (y.sizes() != exact[tap].sizes() || y.numel() == 0) continue;
      const double error = relative_error(y, exact[tap]);
      const double module_error = relative_error(module[tap], exact[tap]);
      Score::PerIsa& ours = score.isas[i];
      ours.worst = std::max(ours.worst, error);
      ours.log_ratios += std::log(error / module_error);
      ours.above += error > limit;
      if (i == 0) {
        ++score.outputs;
        score.module_worst = std::max(score.module_worst, module_error);
        score.module_above += module_error > limit;
      }
      if (!(error <= std::max(limit, single_ratio * module_error)))
        fault(tap, fmt::format("{}: {:.1e}; the float32 module's {:.1e}", name_of(isas[i]), error,
                               module_error));
    }
  }
  ++score.draws;
}

void draw_round(Subject& subject, Random& random, Score& score) {
  const Size about{random.side(), random.side()};
  const int batch = std::clamp(100'000 / (about.height * about.width), 8, 512);
  subject.redraw(pictures(subject, batch, about));
  for (int i = 0; i < draws_per_round; ++i) {
    const Size size{random.near(about.height), random.near(about.width)};
    const int n =
        std::min(random.from(0, 9), std::max(most_pixels / (size.height * size.width), 1));
    const int layout = random.from(0, static_cast<int>(layouts.size()) - 1);
    const int threads = random.from(1, 4);
    const torch::Tensor x = laid_out(pictures(subject, n, size), layout);
    compare(subject, x,
            fmt::format("{}, {} {}, {} threads, statistics of {} x {}", subject.name(),
                        layouts[static_cast<std::size_t>(layout)], x.sizes(), threads, about.height,
                        about.width),
            threads, score);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const unsigned seed = count > 1 ? static_cast<unsigned>(std::stoul(arguments[1])) : 1;
  const int rounds = count > 2 ? std::stoi(arguments[2]) : 3;
  Random random(seed);
  accuracy::Subjects subjects;
  for (const auto make : {accuracy::large_subjects, accuracy::small_subjects,
                          accuracy::own_subjects, accuracy::variant_subjects})
    std::ranges::move(make(), std::back_inserter(subjects));

  const auto isas = accuracy::instruction_sets();
  fmt::print(
      "seed {}; relative L2 errors against float64: the worst, how many are above {:.0e}, and the\n"
      "mean ratio to those of the float32 module\n{:30}{:>16}",
      seed, limit, "", "float32 module");
  for (const mnv3::Isa isa : isas) fmt::print("{:>20}", name_of(isa));
  fmt::print("{:>9}{:>7}{:>9}\n", "outputs", "draws", "seconds");
  int draws = 0;
  int faults = 0;
  for (const auto& subject : subjects) {
    const auto start = std::chrono::steady_clock::now();
    Score score;
    for (int round = 0; round < rounds; ++round) draw_round(*subject, random, score);
    fmt::print("{:30}{:10.1e}{:6}", subject->name(), score.module_worst, score.module_above);
    for (std::size_t i = 0; i < isas.size(); ++i) {
      const Score::PerIsa& ours = score.isas[i];
      const double ratio = std::exp(ours.log_ratios / score.outputs);
      fmt::print("{:10.1e}{:5}{:5.2f}", ours.worst, ours.above, ratio);
      if (ratio <= mean_ratio) continue;
      fmt::print(" (FAILED)");
      ++score.faults;
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    fmt::print("{:9}{:7}{:9.1f}\n", score.outputs, score.draws, taken.count());
    std::fflush(stdout);
    draws += score.draws;
    faults += score.faults;
  }
  fmt::print("{} draws, {} faults\n", draws, faults);
  return faults != 0;
}
