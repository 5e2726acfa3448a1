// SPDX-License-Identifier: MIT
#include <mnv3/nn/own_block.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "doctest_torch.hpp"
#include "support.hpp"

#include <mnv3/mnv3.hpp>

namespace {

using namespace support;
using mnv3::after;
using mnv3::MobileNetV3;
using mnv3::taps;

// One 3x3 convolution in place of a block: a class template of the user's own, made from nothing.
template <mnv3::InvertedResidualConfig Row>
struct PlainBlockImpl : torch::nn::Cloneable<PlainBlockImpl<Row>> {
  PlainBlockImpl() { reset(); }
  void reset() override {
    conv = this->register_module(
        "conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(Row.input_channels, Row.out_channels, 3)
                                      .stride({Row.stride.height, Row.stride.width})
                                      .padding(1)));
    norm = this->register_module("norm", torch::nn::BatchNorm2d(Row.out_channels));
  }
  torch::Tensor forward(torch::Tensor x) { return torch::relu(norm(conv(x))); }

  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};
};

struct PlainArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 8, 8, false, RE, 1, 1},
      {8, 3, 24, 16, false, RE, 2, 1},
      {16, 3, 32, 24, false, HS, 2, 1},
  });
  static constexpr mnv3::Settings settings{.num_classes = 10, .last_channel = 32};
  template <mnv3::InvertedResidualConfig Row>
  using block = PlainBlockImpl<Row>;
};

// One that takes the settings, given as a holder, and nested as a class template.
template <mnv3::InvertedResidualConfig Row>
struct SettledBlockImpl : torch::nn::Cloneable<SettledBlockImpl<Row>> {
  explicit SettledBlockImpl(const mnv3::Settings& settings) : eps(norm_eps_of(settings)) {
    reset();
  }
  void reset() override { scale = this->register_parameter("scale", torch::ones({1})); }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = x.narrow(1, 0, std::min(Row.input_channels, Row.out_channels));
    return torch::constant_pad_nd(y, {0, 0, 0, 0, 0, Row.out_channels - y.size(1)}) * scale;
  }
  double eps;
  torch::Tensor scale;
};
struct SettledArch : PlainArch {
  static constexpr mnv3::Settings settings{.norm_eps = 0.25};
  template <mnv3::InvertedResidualConfig Row>
  class block : public torch::nn::ModuleHolder<SettledBlockImpl<Row>> {
   public:
    using torch::nn::ModuleHolder<SettledBlockImpl<Row>>::ModuleHolder;
    using ContainedType = SettledBlockImpl<Row>;
  };
};

/// A module that LibTorch does not clone: its `clone` is `torch::nn::Module`'s.
struct UncloneableBlock : torch::nn::Module {
  UncloneableBlock() { scale = register_parameter("scale", torch::randn({1})); }
  torch::Tensor forward(const torch::Tensor& x) { return x * scale; }
  torch::Tensor scale;
};
struct UncloneableArch : PlainArch {
  template <mnv3::InvertedResidualConfig>
  using block = UncloneableBlock;
};

static_assert(mnv3::has_own_block<PlainArch>);
static_assert(mnv3::has_own_block<SettledArch>);
static_assert(!mnv3::has_own_block<mnv3::LargeArch>);

std::string folder() {
  const auto path = std::filesystem::temp_directory_path() / "mnv3_own_block";
  std::filesystem::create_directories(path);
  return path.string();
}

}  // namespace

TEST_CASE("blocks of one's own are what features has, made as they can be made") {
  MobileNetV3<PlainArch> plain;
  CHECK(plain->features->at<1>().conv->options.out_channels() == 8);
  CHECK(plain->features->size() == 5);
  MobileNetV3<SettledArch> settled;
  CHECK(settled->features->at<2>().eps == 0.25);
}

TEST_CASE("a network with blocks of one's own runs, taps and trains") {
  using Net =
      MobileNetV3<PlainArch, taps<after<1>, mnv3::at_stride<8>, mnv3::pooled, mnv3::logits>>;
  static_assert(Net::channels == std::array{8, 144, 144, 10});
  static_assert(Net::strides == std::array{2, 8, 0, 0});
  Net net;
  const torch::Tensor x = torch::randn({2, 3, 33, 47});
  auto [first, last, pooled, logits] = net->forward(x);
  CHECK(first.sizes() == torch::IntArrayRef{2, 8, 17, 24});
  CHECK(last.sizes() == torch::IntArrayRef{2, 144, 5, 6});
  CHECK(close(pooled, last.mean({2, 3})));
  CHECK(close(first, net->features->forward(x, 0, 2)));
  logits.sum().backward();
  for (const auto& parameter : net->named_parameters()) {
    CAPTURE(parameter.key());
    CHECK(parameter.value().grad().defined());
  }
}

TEST_CASE("a clone of a network with blocks of one's own is another network") {
  MobileNetV3<PlainArch> net;
  MobileNetV3<PlainArch> copy = net.clone();
  net->eval();
  copy->eval();
  const torch::Tensor x = torch::randn({1, 3, 32, 32});
  const torch::NoGradGuard no_grad;
  CHECK(same(net->forward(x), copy->forward(x)));
  copy->features->at<1>().conv->weight.zero_();
  CHECK(!same(net->forward(x), copy->forward(x)));
}

TEST_CASE("blocks that LibTorch cannot clone are cloned all the same") {
  MobileNetV3<UncloneableArch> net;
  net->to(torch::kDouble);
  net->train();
  net->features->at<2>().eval();
  MobileNetV3<UncloneableArch> copy = net.clone();
  CHECK(copy->is_training());
  CHECK(!copy->features->at<2>().is_training());
  CHECK((copy->features->at<1>().scale.scalar_type() == torch::kDouble));
  CHECK(same(copy->features->at<1>().scale, net->features->at<1>().scale));
  net->features->at<1>().scale.detach().zero_();
  CHECK(!same(copy->features->at<1>().scale, net->features->at<1>().scale));
}

TEST_CASE("what a file has too much is not overlooked inside of a block that exists") {
  const std::string path = folder() + "/surplus.pth";
  MobileNetV3<PlainArch> whole;
  mnv3::NamedTensors tensors = mnv3::state_dict(*whole);
  tensors.emplace_back("features.1.extra.weight", torch::ones({2}));
  mnv3::write_pth(path, tensors);
  CHECK_THROWS_AS(mnv3::load(whole, path), mnv3::LoadError);
}

TEST_CASE("names in files are those of the blocks; a part of a network takes its part of a file") {
  const std::string path = folder() + "/plain.pth";
  MobileNetV3<PlainArch> whole;
  mnv3::save(whole, path);
  const mnv3::NamedTensors tensors = mnv3::state_dict(*whole);
  CHECK(tensors[6].first == "features.1.conv.weight");

  MobileNetV3<PlainArch, taps<after<2>>> part;
  const mnv3::LoadReport report = mnv3::load(part, path);
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  CHECK(report.unused.size() == tensors.size() - mnv3::state_dict(*part).size());
  for (const auto& [name, tensor] : mnv3::state_dict(*part)) {
    CAPTURE(name);
    const auto other = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const auto& item) { return item.first == name; });
    REQUIRE(other != tensors.end());
    CHECK(torch::equal(tensor, other->second));
  }
}

TEST_CASE("a name that neither the table nor a block knows is unexpected") {
  const std::string path = folder() + "/other.pth";
  MobileNetV3<PlainArch> net;
  mnv3::NamedTensors tensors = mnv3::state_dict(*net);
  tensors.emplace_back("features.9.conv.weight", torch::ones({1}));
  mnv3::write_pth(path, tensors);
  CHECK_THROWS_AS(mnv3::load(net, path), mnv3::LoadError);
}

TEST_CASE("the tree shows the blocks as they print themselves") {
  std::ostringstream text;
  text << MobileNetV3<PlainArch>();
  CHECK(contains(text.str(), "(conv): torch::nn::Conv2d(8, 8"));
  CHECK(contains(text.str(), "  (features): Sequential(\n    (0): Conv2dNormActivation("));
}
