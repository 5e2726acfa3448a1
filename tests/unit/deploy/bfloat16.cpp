// SPDX-License-Identifier: MIT
#include <mnv3/engine/kernels/bfloat16.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "deploy_accuracy/subject.hpp"
#include "doctest_torch.hpp"
#include "unit/nn/support.hpp"
#include "unit/weights/files.hpp"

#include <mnv3/config.hpp>
#include <mnv3/deploy.hpp>
#include <mnv3/weights/save.hpp>

namespace {

using accuracy::listed;
using accuracy::Tensors;
using mnv3::after;
using mnv3::Deployed;
using mnv3::expansion;
using mnv3::MobileNetV3;
using mnv3::Precision;
using mnv3::SmallArch;
using mnv3::taps;

// Odd channel counts, since channels are multiplied in pairs; residuals, squeeze-and-excitation,
// dilation, and a block without expansion.
struct OddArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {5, 3, 5, 5, true, RE, 1},
      {5, 3, 21, 13, false, HS, 2},
      {13, 7, 40, 13, true, HS, 1},
      {13, 5, 33, 17, false, RE, 2, 2},
      {17, 3, 51, 17, true, RE, 1, 3},
  });
  static constexpr mnv3::Settings settings{
      .input{.channels = 2}, .num_classes = 7, .last_channel = 33};
};
using OddTaps = taps<after<0>, after<1>, expansion<2>, after<2>, after<3>, expansion<4>, after<4>,
                     after<5>, after<6>, mnv3::embedding, mnv3::logits>;
// Infinity is not made NaN by what subtracts or divides, if the weights are positive.
struct AscendingArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {5, 3, 21, 13, false, RE, 1},
      {13, 3, 33, 17, false, RE, 2},
  });
};
using RvmTaps = taps<after<1>, after<3>, after<6>, after<16>>;

class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }

 private:
  int before_;
};

/// Whether this machine can run what is tested here; says so if it cannot.
bool can_run() {
  const bool can = mnv3::is_available(Precision::bfloat16);
  if (!can) MESSAGE("skipped: this CPU has no AVX512-BF16");
  return can;
}

double relative_error(const torch::Tensor& x, const torch::Tensor& exact) {
  return ((x.to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
}

/// Root mean squares of relative errors to the module in float64, for each output.
struct Errors {
  std::vector<double> ours, theirs;  // sums of squares
  int count = 0;
  double rms(const std::vector<double>& squares, std::size_t tap) const {
    return std::sqrt(squares[tap] / count);
  }
};

/// Compares with LibTorch's own bfloat16: the same module, converted.
template <class Arch, class Taps>
class Comparison {
 public:
  explicit Comparison(const MobileNetV3<Arch, Taps>& net)
      : exact_(net.clone()),
        module_(net.clone()),
        deployed_(mnv3::deploy<Precision::bfloat16>(net)) {
    exact_->to(torch::kDouble);
    module_->to(torch::kBFloat16);
  }

  void add(const torch::Tensor& x, int threads) {
    const torch::NoGradGuard no_grad;
    const Tensors exact = listed(exact_->forward(x.to(torch::kDouble)));
    const Tensors theirs = listed(module_->forward(x.to(torch::kBFloat16)));
    const ThreadCount count(threads);
    const Tensors ours = listed(deployed_(x));
    errors_.ours.resize(ours.size());
    errors_.theirs.resize(ours.size());
    ++errors_.count;
    for (std::size_t tap = 0; tap < ours.size(); ++tap) {
      CAPTURE(tap);
      CHECK(ours[tap].sizes() == exact[tap].sizes());
      CHECK(support::has_type(ours[tap], torch::kFloat));
      errors_.ours[tap] += std::pow(relative_error(ours[tap], exact[tap]), 2);
      errors_.theirs[tap] += std::pow(relative_error(theirs[tap], exact[tap]), 2);
    }
  }

  void finish() const {
    for (std::size_t tap = 0; tap < errors_.ours.size(); ++tap) {
      const double ours = errors_.rms(errors_.ours, tap);
      const double theirs = errors_.rms(errors_.theirs, tap);
      MESSAGE("output " << tap << ": " << ours << ", LibTorch's module " << theirs);
      CHECK(ours <= 0.75 * theirs);  // LibTorch rounds before and after batch norm, too
    }
  }

 private:
  MobileNetV3<Arch, Taps> exact_, module_;
  Deployed<Arch, Taps, Precision::bfloat16> deployed_;
  Errors errors_;
};

/// Draws of weights, size, batch, layout and threads.
template <class Arch, class Taps>
void compare(int draws, int smallest, int largest) {
  if (!can_run()) return;
  torch::manual_seed(1);
  std::mt19937 random(1);
  const auto draw = [&](int from, int to) {
    return std::uniform_int_distribution(from, to)(random);
  };
  const int channels = mnv3::definition_of<Arch>.settings.input.channels;
  MobileNetV3<Arch, Taps> net;
  accuracy::randomize(net, torch::rand({8, channels, largest, largest}));
  Comparison<Arch, Taps> comparison(net);
  for (int i = 0; i < draws; ++i) {
    const int batch = draw(1, 4);
    torch::Tensor x =
        torch::rand({batch, channels, draw(smallest, largest), draw(smallest, largest)});
    const int layout = draw(0, 3);
    if (layout == 1) x = x.contiguous(torch::MemoryFormat::ChannelsLast);
    if (layout == 2) x = x.transpose(2, 3).contiguous().transpose(2, 3);
    if (layout == 3) x = x.unsqueeze(0);
    comparison.add(x, draw(1, 3));
  }
  comparison.finish();
}

}  // namespace

TEST_CASE("bfloat16 rounds as LibTorch's does") {
  const auto check = [](float x) {
    const c10::BFloat16 expected(x);
    const mnv3::engine::Bfloat16 ours(x);
    if (std::isnan(x)) return std::isnan(static_cast<float>(ours));
    return ours.bits == expected.x && static_cast<float>(ours) == static_cast<float>(expected);
  };
  std::mt19937 random(1);
  int wrong = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    wrong += !check(std::bit_cast<float>(bits));
    wrong += !check(std::bit_cast<float>(bits & 0xffff8000));  // ties
  }
  CHECK(wrong == 0);
  CHECK(check(std::numeric_limits<float>::max()));
  CHECK(check(std::bit_cast<float>(0x7f800001U)));  // a NaN that truncation would make infinite
}

TEST_CASE("Small in bfloat16 is no less exact than LibTorch's") {
  compare<SmallArch, taps<>>(10, 64, 160);
}
TEST_CASE("Large in bfloat16 is no less exact than LibTorch's") {
  compare<mnv3::LargeArch, taps<>>(6, 64, 160);
}
TEST_CASE("RVM's encoder in bfloat16 is no less exact than LibTorch's") {
  compare<mnv3::RvmArch, RvmTaps>(6, 48, 128);
}
TEST_CASE("a network of odd sizes in bfloat16, all taps, is no less exact than LibTorch's") {
  compare<OddArch, OddTaps>(60, 1, 48);
}

TEST_CASE("NaN comes out of bfloat16 where the module puts it, and infinity does not hide") {
  if (!can_run()) return;
  torch::manual_seed(1);
  MobileNetV3<OddArch, OddTaps> net;
  accuracy::randomize(net, torch::rand({8, 2, 24, 24}));
  const auto fast = mnv3::deploy<Precision::bfloat16>(net);
  const torch::NoGradGuard no_grad;
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    CAPTURE(value);
    torch::Tensor x = torch::randn({1, 2, 24, 24});
    x[0][1][7][9] = value;
    const auto expected = listed(net->forward(x));
    const auto outputs = listed(fast(x));
    for (std::size_t tap = 0; tap < outputs.size(); ++tap) {
      CAPTURE(tap);
      CHECK(torch::equal(outputs[tap].isnan(), expected[tap].isnan()));
    }
  }
}

TEST_CASE("infinity in bfloat16 does not meet what fills up odd channels") {
  if (!can_run()) return;
  torch::manual_seed(1);
  MobileNetV3<AscendingArch, taps<after<1>, after<2>, after<3>>> net;
  accuracy::randomize(net, torch::rand({8, 3, 24, 24}));
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : net->parameters()) p.abs_();
  const auto fast = mnv3::deploy<Precision::bfloat16>(net);
  torch::Tensor x = torch::rand({1, 3, 24, 24});
  x[0][1][7][9] = std::numeric_limits<float>::infinity();
  const auto expected = listed(net->forward(x));
  const auto outputs = listed(fast(x));
  for (std::size_t tap = 0; tap < outputs.size(); ++tap) {
    CAPTURE(tap);
    CHECK(expected[tap].isinf().any().item<bool>());
    CHECK(torch::equal(outputs[tap].isinf(), expected[tap].isinf()));
    CHECK(torch::equal(outputs[tap].isnan(), expected[tap].isnan()));
  }
}

TEST_CASE("bfloat16 from a file, in little more than half the memory") {
  if (!can_run()) return;
  using Taps = taps<after<3>, mnv3::logits>;
  using Half = Deployed<SmallArch, Taps, Precision::bfloat16>;
  static_assert(Half::arena_bytes(224, 224) * 100 <
                Deployed<SmallArch, Taps>::arena_bytes(224, 224) * 60);
  const files::TemporaryFolder folder;
  MobileNetV3<SmallArch, Taps> net;
  const auto path = folder.path() / "net.pth";
  mnv3::save(net, path);
  const auto fast = mnv3::deploy<Precision::bfloat16>(net);
  const auto from_file = mnv3::deploy<SmallArch, Taps, Precision::bfloat16>(path);
  for (const int batch : {1, 5}) {
    const torch::Tensor x = torch::randn({batch, 3, 40, 56});
    CHECK(torch::equal(from_file(x)[1], fast(x)[1]));
  }
}

TEST_CASE("bfloat16 that cannot be had is refused with what to do") {
  MobileNetV3<SmallArch, taps<after<1>>> net;
  setenv("MNV3_ISA", "avx2", 1);
  CHECK(!mnv3::is_available(Precision::bfloat16));
  CHECK(mnv3::is_available(Precision::same));
  CHECK_THROWS_WITH_AS(
      mnv3::deploy<Precision::bfloat16>(net),
      doctest::Contains("AVX512-BF16, but the instruction set here is avx2, as MNV3_ISA"),
      std::invalid_argument);
  unsetenv("MNV3_ISA");
  if (can_run())
    CHECK_THROWS_WITH_AS(
        mnv3::deploy<Precision::bfloat16>(net)(torch::rand({1, 3, 8, 8}).to(torch::kBFloat16)),
        doctest::Contains("deployed for Float"), c10::Error);
  else
    CHECK_THROWS_WITH_AS(mnv3::deploy<Precision::bfloat16>(net), doctest::Contains("AVX512-BF16"),
                         std::invalid_argument);
  net->to(torch::kDouble);
  CHECK_THROWS_WITH_AS(mnv3::deploy<Precision::bfloat16>(net), doctest::Contains("torch::kFloat"),
                       c10::Error);
}
