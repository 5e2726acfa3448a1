// SPDX-License-Identifier: MIT
#include <mnv3/nn/recompute.hpp>
#include <mnv3/train/autocast.hpp>
#include <mnv3/train/memory.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "doctest_torch.hpp"

#include <unit/nn/support.hpp>
#include <unit/train/least_arch.hpp>

#include <mnv3/config/published.hpp>
#include <mnv3/nn/inverted_residual.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/state_dict.hpp>

// What changes how a step is computed, but not what comes out.

namespace {

using support::contains;
using support::error_of;
using support::same;

/// What is compared: results, gradients, and all tensors of the module afterwards.
struct Outcome {
  std::vector<torch::Tensor> tensors;
  torch::Tensor next_random;  // the generator must be where it would be

  friend bool operator==(const Outcome& a, const Outcome& b) {
    return same(a.next_random, b.next_random) &&
           std::equal(a.tensors.begin(), a.tensors.end(), b.tensors.begin(), b.tensors.end(),
                      [](const torch::Tensor& x, const torch::Tensor& y) {
                        return x.defined() ? same(x, y) : !y.defined();
                      });
  }
};

/// Runs `call` of a copy of `module` on `x` and backward.
template <class Module, class Call>
Outcome outcome(const Module& module, const torch::Tensor& x, bool x_learns, Call call) {
  const auto copy = std::dynamic_pointer_cast<Module>(module.clone());
  const auto parameters = module.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i)
    copy->parameters()[i].set_requires_grad(parameters[i].requires_grad());
  const torch::Tensor input = x.detach().clone().set_requires_grad(x_learns);
  torch::manual_seed(7);
  const torch::Tensor y = call(*copy, input);
  (y.to(torch::kFloat) * torch::rand(y.sizes())).sum().backward();
  Outcome found{{y.detach(), input.grad()}, torch::rand({3})};
  for (const torch::Tensor& parameter : copy->parameters())
    found.tensors.push_back(parameter.grad());
  for (const auto& [name, tensor] : mnv3::state_dict(*copy))
    found.tensors.push_back(tensor.detach());
  return found;
}

const auto plain = [](auto& module, const torch::Tensor& x) { return module.forward(x); };
const auto again = [](auto& module, const torch::Tensor& x) { return mnv3::recomputed(module, x); };

template <class Module>
void check_same_outcome(const Module& module, const torch::Tensor& x) {
  for (const bool x_learns : {true, false}) {
    CAPTURE(x_learns);
    CHECK(outcome(module, x, x_learns, again) == outcome(module, x, x_learns, plain));
  }
}

torch::nn::Sequential sequential() {
  using namespace torch::nn;
  return Sequential(Conv2d(Conv2dOptions(4, 6, 3)), BatchNorm2d(6), ReLU(), Dropout(0.4),
                    Conv2d(Conv2dOptions(6, 5, 1)), BatchNorm2d(5), Dropout2d(0.3));
}

TEST_CASE("what runs again gives the same, bit by bit") {
  torch::manual_seed(1);
  torch::nn::Sequential net = sequential();
  const torch::Tensor x = torch::randn({3, 4, 9, 9});
  check_same_outcome(*net, x);
  for (const auto& row : {mnv3::SmallArch::blocks[0], mnv3::SmallArch::blocks[4]}) {
    mnv3::InvertedResidual block(row);
    const torch::Tensor in = torch::randn({2, row.input_channels, 12, 12});
    check_same_outcome(*block, in);
    check_same_outcome(*block, in.contiguous(torch::MemoryFormat::ChannelsLast));
    block->block->depthwise->eval();  // partly frozen
    for (auto& parameter : block->block->depthwise->parameters())
      parameter.set_requires_grad(false);
    check_same_outcome(*block, in);
  }
}

TEST_CASE("one module may be run again twice, and what runs again may do so itself") {
  torch::manual_seed(2);
  mnv3::InvertedResidual block(mnv3::SmallArch::blocks[4]);
  const torch::Tensor x = torch::randn({2, 40, 7, 7});
  const auto twice = [](auto run) {
    return [run](auto& module, const torch::Tensor& in) { return run(module, run(module, in)); };
  };
  const Outcome expected = outcome(*block, x, true, twice(plain));
  CHECK(outcome(*block, x, true, twice(again)) == expected);
  const auto nested = [&](auto& module, const torch::Tensor& in) {
    return mnv3::recomputed(module, twice(again), in);
  };
  CHECK(outcome(*block, x, true, nested) == expected);

  torch::nn::Sequential shared;  // one weight in two places
  const torch::nn::Linear layer(4, 4);
  shared->push_back(layer);
  shared->push_back(layer);
  const torch::Tensor rows = torch::randn({3, 4});
  const auto gradient = [&](auto run) {
    shared->zero_grad();
    run(*shared, rows).square().sum().backward();
    return layer->weight.grad().clone();
  };
  CHECK(same(gradient(again), gradient(plain)));
}

TEST_CASE("what runs again does so under the autocast of its call, and leaves none of its own") {
  torch::manual_seed(3);
  mnv3::InvertedResidual block(mnv3::SmallArch::blocks[4]);
  const torch::Tensor x = torch::randn({2, 40, 7, 7});
  const auto under_autocast = [](auto run) {
    return [run](auto& module, const torch::Tensor& in) {
      const mnv3::train::Autocast autocast;
      // The second must not use weights that the first has converted without a graph.
      const torch::Tensor first = run(module, in);
      return first + module.forward(in);
    };
  };
  for (const bool backward_too : {false, true}) {
    CAPTURE(backward_too);
    // Around all of it, so that converted weights are kept for the backward pass.
    const mnv3::train::Autocast autocast(torch::kCPU, torch::kBFloat16, backward_too);
    CHECK(outcome(*block, x, true, under_autocast(again)) ==
          outcome(*block, x, true, under_autocast(plain)));
  }
}

TEST_CASE("without a graph nothing is run again") {
  torch::manual_seed(4);
  torch::nn::Linear layer(3, 2);
  int calls = 0;
  const auto counted = [&](torch::nn::LinearImpl& module, const torch::Tensor& x) {
    ++calls;
    return module.forward(x);
  };
  const torch::Tensor x = torch::randn({2, 3});
  {
    const torch::NoGradGuard no_grad;
    CHECK_FALSE(mnv3::recomputed(*layer, counted, x).requires_grad());
  }
  for (auto& parameter : layer->parameters()) parameter.set_requires_grad(false);
  CHECK_FALSE(mnv3::recomputed(*layer, counted, x).requires_grad());
  CHECK(calls == 2);
  mnv3::recomputed(*layer, counted, x.clone().requires_grad_()).sum().backward();
  CHECK(calls == 4);
}

TEST_CASE("an exception in what runs again leaves everything as it was") {
  torch::nn::Sequential net = sequential();
  const torch::Tensor x = torch::randn({3, 4, 9, 9});
  bool fails = true;
  const auto failing = [&](torch::nn::SequentialImpl& module, const torch::Tensor& in) {
    torch::Tensor y = module.forward(in);
    if (fails && torch::GradMode::is_enabled()) throw std::runtime_error("on purpose");
    return y;
  };
  const torch::Tensor loss = mnv3::recomputed(*net, failing, x).sum();
  std::vector<torch::Tensor> buffers = net->buffers();
  for (torch::Tensor& buffer : buffers) buffer = buffer.clone();
  const torch::Tensor random = at::detail::getDefaultCPUGenerator().get_state();
  CHECK_THROWS_WITH(loss.backward({}, true), "on purpose");
  for (std::size_t i = 0; i < buffers.size(); ++i) CHECK(same(net->buffers()[i], buffers[i]));
  CHECK(same(at::detail::getDefaultCPUGenerator().get_state(), random));
  for (const auto& parameter : net->parameters()) CHECK_FALSE(parameter.grad().defined());
  fails = false;
  loss.backward();
  CHECK(net->parameters()[0].grad().defined());
}

TEST_CASE("what cannot be run again is refused") {
  torch::nn::Sequential net = sequential();
  const torch::Tensor x = torch::randn({3, 4, 9, 9}).requires_grad_();
  const torch::Tensor loss = mnv3::recomputed(*net, x).square().sum();
  net->eval();
  CHECK(contains(error_of([&] { loss.backward({}, true); }), "train()"));
  net->train();
  CHECK(contains(
      error_of([&] { torch::autograd::grad({loss}, {x}, {}, true, /*create_graph=*/true); }),
      "differentiated twice"));
  {
    const torch::NoGradGuard no_grad;
    net->parameters()[0].add_(1);
  }
  CHECK(contains(error_of([&] { loss.backward(); }), "modified by an inplace operation"));
}

TEST_CASE("a graph keeps its module alive") {
  torch::nn::Sequential net = sequential();
  const torch::Tensor x = torch::randn({3, 4, 9, 9}).requires_grad_();
  const torch::Tensor loss = mnv3::recomputed(*net, x).sum();
  net = nullptr;
  loss.backward();
  CHECK(x.grad().defined());
}

/// Counts the bytes that LibTorch has allocated since and not freed.
struct CountedBytes : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, std::int64_t size, std::int64_t, std::int64_t, c10::Device) {
    bytes += size;
  }
  void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) {
    bytes += size;
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t bytes = 0;
};

TEST_CASE("what runs again is not kept in between") {
  mnv3::InvertedResidual block(mnv3::SmallArch::blocks[4]);
  const torch::Tensor x = torch::randn({4, 40, 14, 14});
  const auto kept = [&](auto run) {
    const auto counter = std::make_shared<CountedBytes>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
    const torch::Tensor y = run(*block, x);
    return counter->bytes - static_cast<std::int64_t>(y.nbytes());
  };
  kept(plain);  // what is only made once
  const std::int64_t all = kept(plain), some = kept(again);
  CAPTURE(all);
  CAPTURE(some);
  CHECK(all > 10 * static_cast<std::int64_t>(x.nbytes()));
  CHECK(some < 20'000);  // the generator's state
}

// -------------------------------------------------------------------------------------- autocast

template <class Net>
void check_near_in_bfloat16(Net net, std::int64_t size, double most) {
  for (const auto& module : net->modules())  // few pictures make statistics that differ too much
    if (auto* norm = module->template as<torch::nn::BatchNorm2d>()) norm->eval();
  const torch::Tensor x = torch::randn({4, 3, size, size});
  const torch::Tensor labels = torch::tensor({0, 2, 1, 2}, torch::kLong);
  const auto run = [&](bool enabled) {
    net->zero_grad();
    torch::manual_seed(8);
    torch::Tensor loss, logits;
    {
      const mnv3::train::Autocast autocast(torch::kCPU, torch::kBFloat16, enabled);
      logits = net->forward(x);
      loss = torch::cross_entropy_loss(logits, labels);
    }
    loss.backward();
    CHECK(support::has_type(logits, enabled ? torch::kBFloat16 : torch::kFloat));
    std::vector<torch::Tensor> gradients{logits.detach().to(torch::kFloat).flatten()};
    for (const auto& parameter : net->parameters()) {
      REQUIRE(parameter.grad().defined());
      CHECK(support::has_type(parameter.grad(), torch::kFloat));
      gradients.push_back(parameter.grad().flatten().clone());
    }
    return gradients;
  };
  const auto expected = run(false), found = run(true);
  CHECK(torch::cat(found).isfinite().all().template item<bool>());
  const torch::Tensor all = torch::cat(std::vector<torch::Tensor>(found.begin() + 1, found.end()));
  const torch::Tensor all_expected =
      torch::cat(std::vector<torch::Tensor>(expected.begin() + 1, expected.end()));
  const auto difference = [](const torch::Tensor& a, const torch::Tensor& b) {
    return ((a - b).norm() / b.norm()).template item<double>();
  };
  const double of_gradients = difference(all, all_expected);
  const double of_logits = difference(found[0], expected[0]);
  CAPTURE(of_gradients);
  CAPTURE(of_logits);
  CHECK(of_gradients < most);
  CHECK(of_gradients > 1e-4);  // it did run in bfloat16
  CHECK(of_logits < most);
}

TEST_CASE("under autocast networks learn in bfloat16, with float32 gradients near the others") {
  torch::manual_seed(9);
  check_near_in_bfloat16(support::settled(mnv3::MobileNetV3<LeastArch>()), 32, 0.15);
  // What LibTorch's own operators round depends on the processor: 0.34 with AVX2 alone.
  check_near_in_bfloat16(support::settled(mnv3::MobileNetV3<mnv3::SmallArch>()), 64, 0.4);
}

TEST_CASE("autocast guards nest, and restore what was there when an exception passes") {
  using mnv3::train::Autocast;
  torch::nn::Linear layer(3, 2);
  const torch::Tensor x = torch::randn({2, 3});
  const auto type = [&] { return layer->forward(x).scalar_type(); };
  const auto is_bfloat16 = [&] { return type() == torch::kBFloat16; };
  CHECK_FALSE(is_bfloat16());
  try {
    const Autocast outer;
    CHECK(is_bfloat16());
    {
      const Autocast off(torch::kCPU, torch::kBFloat16, false);
      CHECK_FALSE(is_bfloat16());
      const Autocast on;
      CHECK(is_bfloat16());
    }
    CHECK(is_bfloat16());
    throw std::runtime_error("on purpose");
  } catch (const std::runtime_error&) {
    CHECK_FALSE(is_bfloat16());
  }
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 2, 1).bias(false));
  const torch::Tensor pictures = torch::rand({1, 3, 4, 4});
  {
    const Autocast autocast;
    conv->forward(pictures);
  }
  {
    const torch::NoGradGuard no_grad;
    conv->weight.fill_(0);
  }
  const Autocast autocast;  // weights are converted anew
  CHECK(conv->forward(pictures).abs().max().item<float>() == 0);
  CHECK(contains(error_of([] { Autocast(torch::kCPU, torch::kHalf); }), "torch::kBFloat16"));
  CHECK(contains(error_of([] { Autocast(torch::kMeta); }), "meta"));
  CHECK(is_bfloat16());
}

// ---------------------------------------------------------------------------------------- memory

#if defined(__GLIBC__)
TEST_CASE("freed memory stays with the process where that is promised") {
  if (!mnv3::train::keep_freed_memory()) return;
  const auto mapped = [] { return ::mallinfo2().hblkhd; };
  const auto before = mapped();
  const std::size_t size = std::size_t{100} << 20;
  const std::unique_ptr<char[]> block(new char[size]);
  CHECK(block[0] == block[0]);
  CHECK(mapped() == before);
}
#endif

}  // namespace
