// SPDX-License-Identifier: MIT
#include <mnv3/deploy/fold.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "doctest_torch.hpp"
#include "unit/nn/support.hpp"

#include <mnv3/config.hpp>

namespace {

using mnv3::Layer;
using mnv3::NamedTensors;
using mnv3::deployment::fold;
using mnv3::deployment::FoldedLayer;
using mnv3::deployment::FoldedProduct;

// Every kind of layer, and an epsilon that shows.
struct TinyArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 8, 8, true, RE, 1},
      {8, 5, 24, 16, true, HS, 2},
      {16, 3, 48, 16, false, HS, 1, 2},
  });
  static constexpr mnv3::Settings settings{.num_classes = 10, .last_channel = 32, .norm_eps = 0.25};
};
constexpr const mnv3::Definition& tiny = mnv3::definition_of<TinyArch>;
constexpr int everything = mnv3::position_of_logits(tiny);

/// A state dict of random values, its variances from 0.3 to 2.
NamedTensors random_tensors() {
  NamedTensors tensors;
  mnv3::for_each_key(tiny, [&](const mnv3::Key& key) {
    const at::IntArrayRef shape(key.shape().data(), key.shape().size());
    torch::Tensor values = torch::randn(shape, torch::kDouble);
    if (key.is_integral) values = torch::tensor(7, torch::kLong);
    if (key.name.view().ends_with("running_var")) values = torch::rand_like(values) * 1.7 + 0.3;
    tensors.emplace_back(key.name.view(), values);
  });
  return tensors;
}

torch::Tensor& at(NamedTensors& tensors, std::string_view name) {
  return std::ranges::find(tensors, name, &NamedTensors::value_type::first)->second;
}

std::vector<torch::Tensor> tensors_of(const std::vector<FoldedLayer>& layers) {
  std::vector<torch::Tensor> all;
  for (const FoldedLayer& folded : layers)
    for (const FoldedProduct& product : {folded.product, folded.excite})
      if (product.defined())
        all.insert(all.end(), {product.weight, product.start, product.scale, product.shift});
  return all;
}

bool same(const std::vector<FoldedLayer>& a, const std::vector<FoldedLayer>& b) {
  return std::ranges::equal(tensors_of(a), tensors_of(b), support::same);
}

mnv3::Name name_of(const Layer& layer) { return mnv3::config::torchvision_layer(tiny, layer); }

std::vector<std::string> names_up_to(int reach) {
  std::vector<std::string> names;
  for (const FoldedLayer& folded : fold(tiny, reach, random_tensors()))
    names.emplace_back(name_of(folded.layer).view());
  return names;
}

TEST_CASE("folding gives the layers up to the reach, in running order") {
  const std::vector<std::string> all{
      "features.0",         "features.1.block.0", "features.1.block.1", "features.1.block.2",
      "features.2.block.0", "features.2.block.1", "features.2.block.2", "features.2.block.3",
      "features.3.block.0", "features.3.block.1", "features.3.block.2", "features.4",
      "classifier.0",       "classifier.3"};
  CHECK(names_up_to(everything) == all);
  const auto first = [&](std::ptrdiff_t n) {
    return std::vector<std::string>(all.begin(), all.begin() + n);
  };
  CHECK(names_up_to(mnv3::position_of_embedding(tiny)) == first(13));
  CHECK(names_up_to(mnv3::position_after(4)) == first(12));
  CHECK(names_up_to(mnv3::position_of_expansion(2)) == first(5));
  CHECK(names_up_to(mnv3::position_after(0)) == first(1));
}

TEST_CASE("a folded convolution is the convolution and its batch norm") {
  torch::manual_seed(1);
  NamedTensors tensors = random_tensors();
  int convolutions = 0;
  for (const FoldedLayer& folded : fold(tiny, everything, tensors)) {
    if (folded.layer.kind != Layer::Kind::conv_norm_activation) continue;
    ++convolutions;
    const mnv3::Conv2dNormActivationConfig& c = folded.layer.conv;
    const std::string name(name_of(folded.layer).view());
    CAPTURE(name);
    const torch::Tensor x = torch::randn({2, c.in_channels, 9, 7}, torch::kDouble);
    const auto convolve = [&](const torch::Tensor& weight, const torch::Tensor& bias) {
      return torch::conv2d(x, weight, bias, c.stride.height, mnv3::padding_of(c), c.dilation,
                           c.groups);
    };
    const torch::Tensor expected = torch::batch_norm(
        convolve(at(tensors, name + ".0.weight"), {}), at(tensors, name + ".1.weight"),
        at(tensors, name + ".1.bias"), at(tensors, name + ".1.running_mean"),
        at(tensors, name + ".1.running_var"), /*training=*/false, 0, 0.25, false);
    const FoldedProduct& product = folded.product;
    const auto each = [](const torch::Tensor& v) { return v.view({-1, 1, 1}); };
    const torch::Tensor sums = convolve(product.weight, {});
    CHECK(support::close((each(product.start) + sums) * each(product.scale) + each(product.shift),
                         expected, 1e-14));
    CHECK(support::close(convolve(product.scaled_weight(), product.bias()), expected, 1e-14));
    CHECK(support::same(product.weight, at(tensors, name + ".0.weight")));  // not rounded anew
    CHECK_FALSE(folded.excite.defined());
  }
  CHECK(convolutions == 10);
}

TEST_CASE("what has no batch norm is copied, squeeze-and-excitation as two matrices") {
  torch::manual_seed(2);
  NamedTensors tensors = random_tensors();
  const std::vector<FoldedLayer> layers = fold(tiny, everything, tensors);
  const FoldedLayer& squeeze = layers[6];
  const std::string name = "features.2.block.2";
  REQUIRE(name_of(squeeze.layer).view() == name);
  const auto holds = [&](const FoldedProduct& product, const torch::Tensor& weight,
                         const std::string& bias) {
    return support::same(product.scaled_weight(), weight) &&
           support::same(product.bias(), at(tensors, bias));
  };
  const auto matrix = [&](const char* key, std::int64_t out, std::int64_t in) {
    return at(tensors, name + key).view({out, in});
  };
  CHECK(holds(squeeze.product, matrix(".fc1.weight", 8, 24), name + ".fc1.bias"));
  CHECK(holds(squeeze.excite, matrix(".fc2.weight", 24, 8), name + ".fc2.bias"));
  CHECK(holds(layers.back().product, at(tensors, "classifier.3.weight"), "classifier.3.bias"));
}

TEST_CASE("folding neither writes nor keeps the tensors it is given") {
  torch::manual_seed(3);
  NamedTensors tensors = random_tensors();
  NamedTensors before;
  for (const auto& [name, x] : tensors) before.emplace_back(name, x.clone());
  const std::vector<FoldedLayer> layers = fold(tiny, everything, tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    CAPTURE(tensors[i].first);
    CHECK(support::same(tensors[i].second, before[i].second));
    tensors[i].second.fill_(3);
  }
  CHECK(same(layers, fold(tiny, everything, before)));
}

TEST_CASE("tensors of any floating-point type and layout fold in double") {
  torch::manual_seed(4);
  for (const auto dtype : {torch::kDouble, torch::kFloat, torch::kBFloat16, torch::kHalf}) {
    NamedTensors rounded = random_tensors();
    NamedTensors exact;
    for (auto& [name, x] : rounded) {
      if (x.is_floating_point()) x = x.to(dtype).set_requires_grad(true);
      if (x.dim() == 4)
        x = torch::empty_like(x, x.options(), torch::MemoryFormat::ChannelsLast).copy_(x);
      exact.emplace_back(name, x.detach().to(torch::kDouble));
    }
    const std::vector<FoldedLayer> layers = fold(tiny, everything, rounded);
    CHECK(same(layers, fold(tiny, everything, exact)));
    for (const torch::Tensor& x : tensors_of(layers)) {
      CHECK(support::has_type(x, torch::kDouble));
      CHECK(x.device().is_cpu());
      CHECK_FALSE(x.requires_grad());
      // Not only `is_contiguous`, to which the strides of size-1 dimensions are all the same.
      CHECK(x.strides() == torch::empty(x.sizes()).strides());
    }
  }
}

TEST_CASE("what cannot be folded is refused by name") {
  NamedTensors tensors = random_tensors();
  const auto error = [&] { return support::error_of([&] { fold(tiny, everything, tensors); }); };
  SUBCASE("missing") {
    for (const std::string name :
         {"features.0.1.running_var", "features.2.block.2.fc2.bias", "classifier.3.weight"}) {
      NamedTensors fewer = tensors;
      std::erase_if(fewer, [&](const auto& item) { return item.first == name; });
      const std::string text = support::error_of([&] { fold(tiny, everything, fewer); });
      CHECK(text == "mnv3: folding needs the tensor " + name + ", which is missing");
    }
  }
  SUBCASE("undefined") {
    at(tensors, "features.0.0.weight") = torch::Tensor();
    CHECK(error() == "mnv3: folding needs the tensor features.0.0.weight, which is missing");
  }
  SUBCASE("another shape") {
    at(tensors, "features.2.block.1.0.weight") = torch::zeros({24, 1, 3, 3});
    CHECK(error() ==
          "mnv3: folding needs features.2.block.1.0.weight as floating point of shape "
          "[24, 1, 5, 5], but was given Float of shape [24, 1, 3, 3]");
  }
  SUBCASE("an integer type") {
    at(tensors, "features.0.1.bias") = torch::zeros({8}, torch::kInt);
    CHECK(error() ==
          "mnv3: folding needs features.0.1.bias as floating point of shape [8], but "
          "was given Int of shape [8]");
  }
  SUBCASE("after the reach it does not matter") {
    std::erase_if(tensors, [](const auto& item) { return item.first.starts_with("classifier"); });
    CHECK_NOTHROW(fold(tiny, mnv3::position_after(4), tensors));
  }
}

}  // namespace
