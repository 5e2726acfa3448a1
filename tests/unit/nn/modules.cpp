// SPDX-License-Identifier: MIT
#include <mnv3/nn/conv2d_norm_activation.hpp>
#include <mnv3/nn/frozen_batch_norm2d.hpp>
#include <mnv3/nn/inverted_residual.hpp>
#include <mnv3/nn/memory_format.hpp>
#include <mnv3/nn/squeeze_excitation.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "doctest_torch.hpp"
#include "support.hpp"

#include <mnv3/config.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>

// The parts a network is made of, each on its own: what they compute, how they are named, and that
// clone() works at every level, which LibTorch makes easy to get wrong.

namespace {

using mnv3::Activation;
using mnv3::Conv2dNormActivation;
using mnv3::InvertedResidual;
using mnv3::LargeArch;
using mnv3::Settings;
using mnv3::SmallArch;
using mnv3::SqueezeExcitation;

/// Gives every parameter and every running statistic a value of its own.
void randomize(const torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& parameter : module.parameters()) parameter.uniform_(-0.5, 0.5);
  for (const auto& item : module.named_buffers())
    if (support::contains(item.key(), "running")) item.value().uniform_(0.5, 1.5);
}

/// What the tensors of `module` must look like after clone(): the same, elsewhere.
void check_copied(const torch::nn::Module& module, const torch::nn::Module& copy) {
  CHECK(support::tensor_names(module) == support::tensor_names(copy));
  const auto check = [](const auto& items, const auto& copies) {
    for (const auto& item : items) {
      CAPTURE(item.key());
      const torch::Tensor& other = copies[item.key()];
      CHECK(support::same(item.value(), other));
      CHECK(item.value().data_ptr() != other.data_ptr());
    }
  };
  check(module.named_parameters(), copy.named_parameters());
  check(module.named_buffers(), copy.named_buffers());
  const auto children = module.named_modules();
  const auto copied = copy.named_modules();
  REQUIRE(children.size() == copied.size());
  for (const auto& child : children) {
    CAPTURE(child.key());
    CHECK(copied[child.key()]->is_training() == child.value()->is_training());
  }
}

/// Clones `module` in both modes and checks that the copy computes the same, on its own.
template <class Module, class Forward>
void check_clone(Module& module, Forward forward) {
  const torch::NoGradGuard no_grad;
  randomize(module);
  for (const bool training : {true, false}) {
    CAPTURE(training);
    module.train(training);
    const auto copy = std::dynamic_pointer_cast<Module>(module.clone());
    REQUIRE(copy != nullptr);
    CHECK(copy->is_training() == training);
    check_copied(module, *copy);
    const torch::Tensor output = forward(module);
    CHECK(support::same(forward(*copy), output));
    check_copied(module, *copy);  // statistics included: both have seen the same batch

    const auto kept = std::dynamic_pointer_cast<Module>(copy->clone());
    for (torch::Tensor& parameter : copy->parameters()) parameter.add_(0.25);
    for (const torch::Tensor& buffer : copy->buffers()) buffer.add_(1);
    CHECK_FALSE(torch::equal(forward(*copy), output));
    check_copied(module, *kept);
    CHECK(support::same(forward(module), output));
  }
}

constexpr mnv3::Conv2dNormActivationConfig strided{
    .in_channels = 4, .out_channels = 6, .kernel = 3, .stride = 2, .activation = Activation::HS};

TEST_CASE("clone copies a convolution with its batch norm") {
  torch::manual_seed(1);
  Conv2dNormActivation module(strided, Settings{});
  const torch::Tensor x = torch::randn({2, 4, 9, 9});
  check_clone(*module, [&](mnv3::Conv2dNormActivationImpl& m) { return m.forward(x); });
}

TEST_CASE("clone copies a convolution with any norm") {
  torch::manual_seed(2);
  const torch::Tensor x = torch::randn({2, 4, 9, 7});
  for (const auto norm : {mnv3::Norm::frozen_batch, mnv3::Norm::group, mnv3::Norm::none}) {
    CAPTURE(static_cast<int>(norm));
    Conv2dNormActivation module(strided, Settings{.norm = norm, .norm_groups = 3});
    check_clone(*module, [&](auto& m) { return m.forward(x); });
    std::ostringstream ours, copied;
    ours << module;
    copied << *module->clone();
    CHECK(ours.str() == copied.str());
  }
}

TEST_CASE("a module that prints as Python's can be cloned by itself") {
  Conv2dNormActivation module(strided, Settings{});
  for (const auto& child : module->children()) {
    std::ostringstream ours, copied;
    ours << *child;
    copied << *child->clone();
    CHECK(ours.str() == copied.str());
    CHECK(child->clone()->parameters().size() == child->parameters().size());
  }
}

TEST_CASE("frozen batch norm does not learn and does not move") {
  mnv3::FrozenBatchNorm2d norm(4, 0.5);
  CHECK(norm->parameters().empty());
  randomize(*norm);
  const auto kept = std::dynamic_pointer_cast<mnv3::FrozenBatchNorm2dImpl>(norm->clone());
  norm->train();
  const torch::Tensor x = torch::randn({3, 4, 5, 5}).requires_grad_();
  norm->forward(x).sum().backward();
  check_copied(*norm, *kept);
  CHECK(x.grad().defined());
  const torch::Tensor expected = torch::batch_norm(x, norm->weight, norm->bias, norm->running_mean,
                                                   norm->running_var, false, 0.0, 0.5, false);
  CHECK(support::close(norm->forward(x), expected, 1e-6));
}

TEST_CASE("clone copies a squeeze-and-excitation") {
  torch::manual_seed(2);
  SqueezeExcitation module(16, 8);
  const torch::Tensor x = torch::randn({2, 16, 5, 5});
  check_clone(*module, [&](mnv3::SqueezeExcitationImpl& m) { return m.forward(x.clone()); });
}

TEST_CASE("clone copies blocks of every kind") {
  torch::manual_seed(3);
  const auto check_block = []<class Block>(Block block, int channels) {
    const torch::Tensor x = torch::randn({2, channels, 9, 9});
    check_clone(*block, [&](auto& m) { return m.forward(x); });
  };
  check_block(InvertedResidual(LargeArch::blocks[0]), 16);  // neither expansion nor squeeze
  check_block(InvertedResidual(SmallArch::blocks[0]), 16);  // no expansion
  check_block(InvertedResidual(LargeArch::blocks[1]), 16);  // no squeeze
  check_block(InvertedResidual(LargeArch::blocks[4]), 40);  // everything
}

TEST_CASE("clone copies the features and the whole network") {
  torch::manual_seed(4);
  using mnv3::after;
  const torch::Tensor x = torch::randn({2, 3, 32, 32});
  mnv3::MobileNetV3<SmallArch, mnv3::taps<after<1>, after<3>>> tapped;
  check_clone(*tapped, [&](auto& m) { return m.forward(x)[1]; });
  check_clone(*tapped->features, [&](auto& m) {
    std::array<torch::Tensor, 2> outputs;
    const torch::Tensor last = m.forward_tapped(x, outputs);
    CHECK(support::same(outputs[1], last));
    return torch::cat({outputs[0].flatten(), outputs[1].flatten()});
  });
  mnv3::MobileNetV3<SmallArch> classifier;
  check_clone(*classifier, [&](auto& m) {
    torch::manual_seed(5);  // dropout
    return m.forward(x);
  });
  check_clone(*classifier->classifier, [&](auto& m) { return m.embed(torch::ones({2, 576})); });
}

TEST_CASE("clone keeps what is frozen frozen, and a network half in eval() half in eval()") {
  mnv3::MobileNetV3<SmallArch, mnv3::taps<mnv3::after<3>>> net;
  net->features->at<0>().conv->weight.set_requires_grad(false);
  net->features->at<1>().eval();
  const auto copy = net.clone();
  check_copied(*net, *copy);
  CHECK_FALSE(copy->features->at<0>().conv->weight.requires_grad());
  CHECK_FALSE(copy->features->at<1>().is_training());
  CHECK(copy->features->at<2>().is_training());
}

TEST_CASE("the members of a clone are its children, not those of the original") {
  mnv3::MobileNetV3<SmallArch> net;
  const auto copy = net.clone();
  const auto children = copy->named_modules();
  CHECK(children["features"].get() == copy->features.get());
  CHECK(children["features.0"].get() == &copy->features->at<0>());
  CHECK(children["features.4"].get() == &copy->features->at<4>());
  CHECK(children["features.12"].get() == &copy->features->at<12>());
  CHECK(children["classifier"].get() == copy->classifier.get());
}

TEST_CASE("a convolution, its batch norm and its activation follow each other") {
  torch::manual_seed(6);
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({2, 4, 9, 8});
  const torch::Tensor kept = x.clone();
  const auto check = [&](mnv3::Conv2dNormActivationConfig config, auto activate) {
    Conv2dNormActivation module(config, Settings{});
    randomize(*module);
    module->eval();
    torch::Tensor y = torch::conv2d(x, module->conv->weight, {}, config.stride.height,
                                    mnv3::padding_of(config), config.dilation, config.groups);
    const auto channel = [](const torch::Tensor& t) { return t.view({1, -1, 1, 1}); };
    y = (y - channel(module->norm->running_mean)) /
            (channel(module->norm->running_var) + 1e-3).sqrt() * channel(module->norm->weight) +
        channel(module->norm->bias);
    CHECK(support::close(module->forward(x), activate(y), 1e-5));
    CHECK(support::same(x, kept));
  };
  check(strided, [](const torch::Tensor& y) { return y * (y + 3).clamp(0, 6) / 6; });
  check({.in_channels = 4, .out_channels = 5, .activation = Activation::RE},
        [](const torch::Tensor& y) { return y.clamp_min(0); });
  check({.in_channels = 4, .out_channels = 4, .kernel = 5, .dilation = 2, .groups = 4},
        [](const torch::Tensor& y) { return y; });
}

TEST_CASE("squeeze-and-excitation scales each channel by its gate") {
  torch::manual_seed(7);
  SqueezeExcitation module(16, 8);
  randomize(*module);
  const torch::Tensor x = torch::randn({3, 16, 4, 5});
  const torch::Tensor pooled = x.mean({2, 3});
  const torch::Tensor squeezed =
      (pooled.matmul(module->fc1->weight.flatten(1).t()) + module->fc1->bias).clamp_min(0);
  const torch::Tensor gate =
      ((squeezed.matmul(module->fc2->weight.flatten(1).t()) + module->fc2->bias + 3) / 6)
          .clamp(0, 1)
          .view({3, 16, 1, 1});
  REQUIRE((squeezed == 0).any().item<bool>());  // or the first activation would not be seen
  CHECK(support::close(module->forward(x.clone()), x * gate, 1e-5));
  const torch::NoGradGuard no_grad;
  CHECK(support::close(module->forward(x.clone()), x * gate, 1e-5));
}

TEST_CASE("a block adds its input where shape and configured stride allow it") {
  torch::manual_seed(8);
  const torch::NoGradGuard no_grad;
  const auto residual_of = [](auto block, int channels) {
    randomize(*block);
    block->eval();
    const torch::Tensor x = torch::randn({2, channels, 8, 8});
    const torch::Tensor expanded = block->expand(x);
    const torch::Tensor with_zero = block->contract(expanded, torch::zeros_like(x));
    const torch::Tensor y = block->forward(x);
    return support::close(y, with_zero) ? 0 : support::close(y, with_zero + x) ? 1 : -1;
  };
  using mnv3::RvmArch;
  CHECK(residual_of(InvertedResidual(LargeArch::blocks[0]), 16) == 1);
  CHECK(residual_of(InvertedResidual(LargeArch::blocks[2]), 24) == 1);
  CHECK(residual_of(InvertedResidual(LargeArch::blocks[4]), 40) == 1);
  CHECK(residual_of(InvertedResidual(LargeArch::blocks[1]), 16) == 0);
  CHECK(residual_of(InvertedResidual(LargeArch::blocks[10]), 80) == 0);
  CHECK(residual_of(InvertedResidual(SmallArch::blocks[0]), 16) == 0);
  CHECK(residual_of(InvertedResidual(RvmArch::blocks[12]), 112) == 0);
  CHECK(residual_of(InvertedResidual(RvmArch::blocks[13]), 160) == 1);
  // 16 channels in and out, and dilation undoes the stride: still no residual.
  constexpr mnv3::InvertedResidualConfig undone{16, 3, 32, 16, false, Activation::RE, 2, 2};
  CHECK(residual_of(InvertedResidual(undone), 16) == 0);
}

TEST_CASE("a block names its children by their position, whichever are absent") {
  const auto names = [](auto block) { return support::tensor_names(*block); };
  const auto has = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  const auto without_expansion = names(InvertedResidual(SmallArch::blocks[0]));
  CHECK(has(without_expansion, "block.0.0.weight"));
  CHECK(has(without_expansion, "block.1.fc1.weight"));
  CHECK(has(without_expansion, "block.2.1.running_var"));
  CHECK_FALSE(has(without_expansion, "block.3.0.weight"));
  const auto without_squeeze = names(InvertedResidual(LargeArch::blocks[1]));
  CHECK(has(without_squeeze, "block.2.0.weight"));
  CHECK_FALSE(has(without_squeeze, "block.1.fc1.weight"));
  const auto everything = names(InvertedResidual(LargeArch::blocks[3]));
  CHECK(has(everything, "block.2.fc2.bias"));
  CHECK(has(everything, "block.3.1.num_batches_tracked"));
  const auto first_half =
      names(InvertedResidual(LargeArch::blocks[3], mnv3::Settings{}, mnv3::BlockPart::expansion));
  CHECK(first_half.size() == 6);
  CHECK(has(first_half, "block.0.0.weight"));
}

TEST_CASE("to_memory_format changes the layout of weights and nothing else") {
  torch::manual_seed(9);
  constexpr auto channels_last = torch::MemoryFormat::ChannelsLast;
  mnv3::MobileNetV3<SmallArch> net;
  support::settled(net);
  auto original = net.clone();
  const torch::Tensor x = torch::randn({2, 3, 48, 48});

  std::vector<const void*> identities;
  for (const torch::Tensor& parameter : net->parameters())
    identities.push_back(parameter.unsafeGetTensorImpl());
  mnv3::to_memory_format(*net, channels_last);
  std::size_t i = 0;
  for (const auto& item : net->named_parameters()) {
    CAPTURE(item.key());
    const torch::Tensor& parameter = item.value();
    CHECK(parameter.unsafeGetTensorImpl() == identities[i++]);
    CHECK(support::same(parameter, original->named_parameters()[item.key()]));
    CHECK(parameter.is_leaf());
    CHECK(parameter.requires_grad());
    CHECK((parameter.dim() == 4 ? parameter.is_contiguous(channels_last)
                                : parameter.is_contiguous()));
  }
  CHECK_FALSE(net->features->at<0>().conv->weight.is_contiguous());
  CHECK(net->features->at<0>().conv->weight.data_ptr() ==
        net->named_parameters()["features.0.0.weight"].data_ptr());

  const torch::NoGradGuard no_grad;
  CHECK(support::close(net->forward(x), original->forward(x)));
  CHECK(support::close(net->forward(x.contiguous(channels_last)), original->forward(x)));
  SUBCASE("and back") {
    mnv3::to_memory_format(*net, torch::MemoryFormat::Contiguous);
    for (const torch::Tensor& parameter : net->parameters()) CHECK(parameter.is_contiguous());
  }
  SUBCASE("a clone has it, too") {
    CHECK(net.clone()->features->at<0>().conv->weight.is_contiguous(channels_last));
  }
}

TEST_CASE("to_memory_format gives the strides of Python's even where a shape fits both layouts") {
  // torch 1.13.1: nn.Conv2d(16, 8, 1).to(memory_format=torch.channels_last).weight.stride() is
  // (16, 1, 16, 16), and of a depthwise 3x3 (9, 1, 3, 1).
  InvertedResidual block(LargeArch::blocks[1]);
  mnv3::to_memory_format(*block, torch::MemoryFormat::ChannelsLast);
  CHECK(block->block->expansion->conv->weight.strides().vec() ==
        std::vector<std::int64_t>{16, 1, 16, 16});
  CHECK(block->block->depthwise->conv->weight.strides().vec() ==
        std::vector<std::int64_t>{9, 1, 3, 1});
}

TEST_CASE("an optimizer goes on after to_memory_format, with gradients in the same layout") {
  torch::manual_seed(10);
  constexpr auto channels_last = torch::MemoryFormat::ChannelsLast;
  mnv3::MobileNetV3<SmallArch, mnv3::taps<mnv3::after<4>>> changed;
  support::settled(changed);
  auto unchanged = changed.clone();
  const torch::Tensor x = torch::randn({2, 3, 48, 48});
  const auto options = torch::optim::SGDOptions(0.01).momentum(0.9);
  torch::optim::SGD first(changed->parameters(), options);
  torch::optim::SGD second(unchanged->parameters(), options);
  const auto step = [&](auto& net, torch::optim::SGD& optimizer) {
    net->forward(x).square().mean().backward();
    optimizer.step();
  };
  step(changed, first);
  step(unchanged, second);
  mnv3::to_memory_format(*changed, channels_last);  // between backward() and the next one
  for (const torch::Tensor& parameter : changed->parameters())
    if (parameter.dim() == 4) CHECK(parameter.grad().is_contiguous(channels_last));
  const torch::Tensor before = changed->features->at<0>().conv->weight.detach().clone();
  for (int i = 0; i < 2; ++i) {
    step(changed, first);  // gradients add up: the old layout's and the new one's
    step(unchanged, second);
  }
  for (torch::Tensor& parameter : changed->parameters()) parameter.mutable_grad() = torch::Tensor();
  for (torch::Tensor& parameter : unchanged->parameters())
    parameter.mutable_grad() = torch::Tensor();
  step(changed, first);
  step(unchanged, second);
  CHECK_FALSE(torch::equal(changed->features->at<0>().conv->weight, before));
  const auto expected = unchanged->named_parameters();
  for (const auto& item : changed->named_parameters()) {
    CAPTURE(item.key());
    if (item.value().dim() == 4) CHECK(item.value().grad().is_contiguous(channels_last));
    CHECK(support::close(item.value(), expected[item.key()], 1e-3));
  }
}

}  // namespace
