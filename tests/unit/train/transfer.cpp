// SPDX-License-Identifier: MIT
#include <mnv3/train/freeze.hpp>
#include <mnv3/train/param_groups.hpp>
#include <mnv3/train/replace_classifier.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "doctest_torch.hpp"

#include <mnv3/config.hpp>
#include <mnv3/deploy.hpp>
#include <mnv3/deploy/deployed_with_head.hpp>
#include <mnv3/nn/memory_format.hpp>
#include <mnv3/nn/with_head.hpp>
#include <mnv3/weights.hpp>

#include "unit/nn/support.hpp"
#include "unit/weights/folder.hpp"

// Another end for a network that has learned, and what of it learns on.

namespace {

using namespace mnv3;

/// Strides at every place that matters, and little work.
struct Tiny {
  using enum Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {8, 3, 8, 8, true, RE, 1},
      {8, 3, 16, 16, false, RE, 2},
      {16, 3, 32, 16, true, HS, 1},
      {16, 3, 32, 24, true, HS, 2},
      {24, 3, 48, 24, false, HS, 1},
  });
  static constexpr Settings settings{.num_classes = 5, .last_channel = 16, .norm_momentum = 0.1};
};
using Net = MobileNetV3<Tiny>;

torch::Tensor pictures(std::int64_t count = 4) {
  return torch::rand({count, 3, 32, 32}, torch::kFloat);
}

/// Parameters and buffers of the features [begin, end), copied.
template <class Network>
std::vector<torch::Tensor> values(const Network& net, std::int64_t begin, std::int64_t end) {
  std::vector<torch::Tensor> found;
  for (std::int64_t i = begin; i < end; ++i)
    for (const auto& [name, tensor] : state_dict(*net->features[i]))
      found.push_back(tensor.detach().clone());
  return found;
}

bool same(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  bool equal = a.size() == b.size();
  for (std::size_t i = 0; equal && i < a.size(); ++i) equal = support::same(a[i], b[i]);
  return equal;
}

/// `steps` steps with train() before each, as programs do.
template <class Network>
void train_for(Network& net, torch::optim::Optimizer& optimizer, int steps) {
  for (int i = 0; i < steps; ++i) {
    net->train();
    optimizer.zero_grad();
    net->forward(pictures()).square().sum().backward();
    optimizer.step();
    net->eval();
  }
}

TEST_CASE("what is frozen neither learns nor moves, whatever train() says") {
  torch::manual_seed(1);
  Net net;
  freeze(net, stages<stem, C1>{});  // features.0 to features.3
  const auto before = values(net, 0, 4);
  const auto rest = values(net, 4, 7);
  auto optimizer = make_optimizer<torch::optim::SGD>(net, {.lr = 0.01, .weight_decay = 0.1},
                                                     torch::optim::SGDOptions(0.01).momentum(0.9));
  train_for(net, optimizer, 100);
  CHECK(same(values(net, 0, 4), before));
  CHECK_FALSE(same(values(net, 4, 7), rest));
  CHECK(net->features->is_frozen(3));
  CHECK_FALSE(net->features->is_frozen(4));

  SUBCASE("nor after it has learned, when the optimizer has momentum and gradients of it") {
    unfreeze(net, stages<stem, C1>{});
    train_for(net, optimizer, 3);
    const auto moved = values(net, 0, 4);
    CHECK_FALSE(same(moved, before));
    freeze(net, 0, 4);
    train_for(net, optimizer, 3);
    CHECK(same(values(net, 0, 4), moved));
  }
  SUBCASE("nor in copies, at any depth") {
    Net copy = net.clone();
    copy->train();
    CHECK_FALSE(copy->features[3]->is_training());
    CHECK_FALSE(copy->features[3]->parameters()[0].requires_grad());
    CHECK(copy->features[4]->is_training());
    struct OwnerImpl : torch::nn::Cloneable<OwnerImpl> {
      OwnerImpl() { reset(); }
      void reset() override { net = register_module("net", Net()); }
      Net net{nullptr};
    };
    OwnerImpl owner;
    freeze(owner.net, stages<stem, C1>{});
    const auto cloned = std::dynamic_pointer_cast<OwnerImpl>(owner.clone());
    cloned->train();
    CHECK_FALSE(cloned->net->features[3]->is_training());
    CHECK_FALSE(cloned->net->features[3]->parameters()[0].requires_grad());
  }
  SUBCASE("nor by the names of the types") {
    using Typed = MobileNetV3<Frozen<Tiny, stem, C1>>;
    Typed typed;
    support::copy_by_name(*net, *typed);
    const auto start = values(typed, 0, 4);
    torch::optim::SGD other(typed->parameters(), torch::optim::SGDOptions(0.01).weight_decay(0.1));
    train_for(typed, other, 5);
    CHECK(same(values(typed, 0, 4), start));
    CHECK_THROWS_WITH_AS(unfreeze(typed, 2, 3), doctest::Contains("frozen in the type"),
                         c10::Error);
    CHECK(param_groups(typed).size() == 2 * 3);  // C2, C3, the classifier
    Typed copy = typed.clone();
    copy->train();
    CHECK_FALSE(copy->features[0]->is_training());
    const files::TemporaryFolder folder;
    save(net, folder / "net.pth");
    CHECK(load(typed, folder / "net.pth").loaded.size() == state_dict(*net).size());
  }
}

TEST_CASE("a frozen classifier drops nothing, and a range that is none is refused") {
  Net net;
  freeze(net, stages<classifier>{});
  net->train();
  CHECK_FALSE(net->classifier->is_training());
  CHECK_FALSE(net.clone()->classifier->output->weight.requires_grad());
  unfreeze(net, stages<classifier>{});
  CHECK(net->classifier->is_training());
  CHECK_THROWS_WITH_AS(freeze(net, 5, 8), doctest::Contains("features 0 to 6"), c10::IndexError);
  freeze_features(net);
  int learning = 0;
  for (const auto& item : net->named_parameters())
    if (item.value().requires_grad()) learning += support::contains(item.key(), "classifier");
  CHECK(learning == 4);
}

TEST_CASE("a schedule of unfreezing depends on the epoch alone") {
  Net net;
  const std::array<Unfreezing, 3> schedule{{{0, {classifier}}, {1, {C3}}, {3, {C2, C1}}}};
  const auto learning = [&](std::int64_t epoch) {
    const bool changed = unfreeze_by(net, schedule, epoch);
    std::string text(changed ? "!" : "");
    for (std::int64_t i = 0; i < 7; ++i) text += net->features->is_frozen(i) ? '-' : '+';
    return text + (net->classifier->is_frozen() ? '-' : '+');
  };
  CHECK(learning(0) == "!++-----+");  // the stem, 0 and 1, is not named
  CHECK(learning(1) == "!++----++");
  CHECK(learning(2) == "++----++");
  CHECK(learning(3) == "!++++++++");
  CHECK(learning(0) == "!++-----+");
  net->features[0]->parameters()[0].set_requires_grad(false);
  net->features[6]->parameters()[0].set_requires_grad(false);
  CHECK(learning(3) == "!++++++++");
  CHECK_FALSE(net->features[0]->parameters()[0].requires_grad());  // which is not named
  net->features[4]->parameters()[0].set_requires_grad(false);
  CHECK(learning(3) == "++++++++");
  CHECK_FALSE(net->features[4]->parameters()[0].requires_grad());  // which has learned before
  CHECK(learning(0) == "!++-----+");
  const std::array<Unfreezing, 2> wrong{{{0, {C1}}, {1, {C7}}}};
  CHECK_THROWS_WITH_AS(unfreeze_by(net, wrong, 0), doctest::Contains("C7"), c10::Error);
  CHECK(learning(0) == "++-----+");
}

/// How often each parameter of `net` is in `groups`.
template <class Network, class Groups>
void check_groups(const Network& net, const Groups& groups) {
  std::map<const void*, int> found;
  for (const auto& group : groups)
    for (const torch::Tensor& parameter : group.params()) {
      ++found[parameter.unsafeGetTensorImpl()];
      const double decay =
          static_cast<const torch::optim::AdamWOptions&>(group.options()).weight_decay();
      CHECK((decay > 0) == (parameter.dim() > 1));
    }
  std::size_t learning = 0;
  for (const auto& item : net->named_parameters()) {
    CAPTURE(item.key());
    if (!item.value().requires_grad()) continue;
    ++learning;
    CHECK(found[item.value().unsafeGetTensorImpl()] == 1);
  }
  CHECK(found.size() == learning);
}
TEST_CASE_TEMPLATE("every parameter that learns is in exactly one group", Arch, LargeArch,
                   SmallArch, MobileNetV2Arch, Frozen<SmallArch, stem, C3>, timm::lcnet_050,
                   timm::tf_mobilenetv3_small_minimal_100, Tiny) {
  const MobileNetV3<Arch> net;
  check_groups(net, param_groups(net, {.weight_decay = 1}));
}

TEST_CASE("rates fall from stage to stage towards the stem") {
  const Net net;
  const auto groups = param_groups(net, {.lr = 1, .layer_decay = 0.5, .weight_decay = 0.1});
  std::vector<double> rates;
  for (const auto& group : groups) rates.push_back(group.options().get_lr());
  CHECK(rates == std::vector{0.0625, 0.0625, 0.125, 0.125, 0.25, 0.25, 0.5, 0.5, 1., 1.});
  CHECK_THROWS_WITH_AS(param_groups(net, {.layer_decay = 0}), doctest::Contains("layer_decay 0"),
                       c10::Error);
  const auto sgd = make_optimizer<torch::optim::SGD>(net, {.lr = 2, .weight_decay = 0.5},
                                                     torch::optim::SGDOptions(1).momentum(0.9));
  const auto& options =
      static_cast<const torch::optim::SGDOptions&>(sgd.param_groups().front().options());
  CHECK(options.momentum() == 0.9);
  CHECK(options.lr() == 2);
  CHECK(options.weight_decay() == 0.5);
}

TEST_CASE("a new classifier shares everything else") {
  torch::manual_seed(2);
  Net net;
  freeze(net, stages<stem>{});
  auto mine = replace_classifier(net, 7);
  static_assert(decltype(mine)::channels == std::array{dynamic_classes});
  auto known = replace_classifier<3>(net);
  static_assert(std::is_same_v<decltype(known), MobileNetV3<WithClasses<Tiny, 3>>>);
  static_assert(std::is_same_v<decltype(replace_classifier(mine, 9)), decltype(mine)>);

  CHECK(mine->forward(pictures()).size(1) == 7);
  CHECK(known->forward(pictures()).size(1) == 3);
  CHECK(net->forward(pictures()).size(1) == 5);
  CHECK(mine->definition().settings.num_classes == 7);
  CHECK(mine->features[2].ptr() == net->features[2].ptr());
  CHECK(mine->classifier->hidden.ptr() == net->classifier->hidden.ptr());
  CHECK(mine->classifier->output->bias.abs().max().item<float>() == 0);
  CHECK(mine->features->is_frozen(1));
  mine->train();
  CHECK_FALSE(mine->features[1]->is_training());
  CHECK(support::tensor_names(*mine) == support::tensor_names(*net));

  SUBCASE("and what is frozen in one is frozen in the other") {
    freeze(net, stages<C2>{});
    mine->train();
    CHECK_FALSE(mine->features[4]->is_training());
    auto own = replace_classifier(net.clone(), 7);
    unfreeze(net, stages<C2>{});
    CHECK(own->features->is_frozen(4));
  }
  SUBCASE("and learns itself, whatever is frozen") {
    freeze(net, stages<classifier>{});
    auto learning = replace_classifier(net, 7);
    CHECK(learning->classifier->output->weight.requires_grad());
    CHECK_FALSE(learning->classifier->hidden->weight.requires_grad());
  }
  SUBCASE("of its dtype, in its mode") {
    Net other;
    other->to(torch::kDouble);
    other->eval();
    auto replaced = replace_classifier(other, 4);
    CHECK(support::has_type(replaced->forward(pictures().to(torch::kDouble)), torch::kDouble));
    CHECK_FALSE(replaced->is_training());
    CHECK_FALSE(replaced->classifier->is_training());
  }
  SUBCASE("is saved, loaded, cloned and deployed") {
    mine->eval();
    const torch::Tensor x = pictures();
    const torch::Tensor expected = mine->forward(x);
    const files::TemporaryFolder folder;
    save(mine, folder / "mine.pth");
    MobileNetV3<WithClasses<Tiny>> loaded(7);
    CHECK(load(loaded, folder / "mine.pth").loaded.size() == state_dict(*mine).size());
    loaded->eval();
    CHECK(support::same(loaded->forward(x), expected));
    CHECK(support::same(mine.clone()->forward(x), expected));
    CHECK(support::close(deploy(mine)(x), expected));
    CHECK(support::close(deploy(known.clone())(x), (known->eval(), known->forward(x))));
    MobileNetV3<WithClasses<Tiny>> six(6);
    CHECK_THROWS_WITH(load(six, folder / "mine.pth"), doctest::Contains("[7, 16] in the file"));
    const LoadOptions adapted{.adapt_classes = true};
    CHECK(load(six, folder / "mine.pth", adapted).loaded.size() == state_dict(*mine).size() - 2);
  }
  SUBCASE("also beside other taps") {
    using Taps = taps<after<3>, embedding, logits>;
    MobileNetV3<Tiny, Taps> tapped;
    auto more = replace_classifier(support::settled(tapped.clone()), 7);
    const auto [a, b, c] = deploy(more)(pictures(2).view({1, 2, 3, 32, 32}));
    CHECK(c.sizes() == at::IntArrayRef({1, 2, 7}));
    const torch::Tensor x = pictures();
    const auto fast = deploy(more)(x);
    const auto slow = more->forward(x);
    for (std::size_t i = 0; i < 3; ++i) CHECK(support::close(fast[i], slow[i]));
    auto low = replace_classifier(support::settled(MobileNetV3<Tiny, taps<after<3>, logits>>()), 7);
    CHECK(support::close(deploy(low)(x)[1], low->forward(x)[1]));
    CHECK(support::close(deploy(low)(x)[0], low->forward(x)[0]));
    low->to(torch::kDouble);
    CHECK(support::close(deploy(low)(x.to(torch::kDouble))[1],
                         low->forward(x.to(torch::kDouble))[1]));
  }
  SUBCASE("of no classes is refused") {
    CHECK_THROWS_WITH_AS(replace_classifier(net, 0), doctest::Contains("from 1 to"), c10::Error);
    CHECK_THROWS_AS(replace_classifier(net, -1), c10::Error);
  }
}

struct HeadImpl : torch::nn::Cloneable<HeadImpl> {
  explicit HeadImpl(std::int64_t low, std::int64_t high) : low_(low), high_(high) { reset(); }
  void reset() override {
    reduce = register_module("reduce", torch::nn::Conv2d(low_, 2, 1));
    scale = register_module("scale", torch::nn::Conv2d(high_, 2, 1));
  }
  torch::Tensor forward(const torch::Tensor& f1, const torch::Tensor& f2) {
    return reduce->forward(f1) + torch::upsample_nearest2d(scale->forward(f2), {8, 8}, {}, {});
  }
  torch::nn::Conv2d reduce{nullptr}, scale{nullptr};

 private:
  std::int64_t low_, high_;
};
TORCH_MODULE(Head);

TEST_CASE("a head of one's own on taps is one thing with its backbone") {
  torch::manual_seed(3);
  using Encoder = MobileNetV3<Tiny, taps<after<3>, after<5>>>;
  const Encoder encoder = support::settled(Encoder());
  WithHead net(encoder, Head(Encoder::channels[0], Encoder::channels[1]));
  net->eval();
  const torch::Tensor x = pictures();
  const torch::Tensor expected = net->forward(x);
  CHECK(expected.sizes() == at::IntArrayRef({4, 2, 8, 8}));

  const auto fast = deploy(net);
  CHECK(support::close(fast(x), expected));
  CHECK_FALSE(fast(x).requires_grad());
  const files::TemporaryFolder folder;
  save(net, folder / "whole.pth");
  WithHead other(Encoder(), Head(16, 24));
  CHECK(load(other, folder / "whole.pth").loaded.size() == state_dict(*net).size());
  other->eval();
  CHECK(support::same(other->forward(x), expected));
  CHECK(load(other->backbone, folder / "whole.pth").prefix == "backbone.");

  freeze(net->backbone, stages<stem>{});
  net->head->reduce->weight.set_requires_grad(false);
  auto copy = net.clone();
  CHECK(support::same(copy->forward(x), expected));
  copy->train();
  CHECK_FALSE(copy->backbone->features[0]->is_training());
  CHECK_FALSE(copy->head->reduce->weight.requires_grad());
  std::size_t in_groups = 0;
  for (const auto& group : param_groups(net)) in_groups += group.params().size();
  CHECK(in_groups == net->parameters().size());

  // Within a module that is cloned.
  struct OwnerImpl : torch::nn::Cloneable<OwnerImpl> {
    OwnerImpl() { reset(); }
    void reset() override {
      net = register_module("net", WithHead<Encoder, Head>(Encoder(), Head(16, 24)));
    }
    WithHead<Encoder, Head> net{nullptr};
  };
  OwnerImpl owner;
  freeze(owner.net->backbone, stages<stem>{});
  const auto cloned = std::dynamic_pointer_cast<OwnerImpl>(owner.clone());
  owner.eval();
  cloned->eval();
  CHECK(support::same(cloned->net->forward(x), owner.net->forward(x)));
  CHECK(cloned->net->head->reduce->weight.data_ptr() != owner.net->head->reduce->weight.data_ptr());
  CHECK(cloned->net->backbone->features->is_frozen(0));

  // What both register is one parameter.
  net->head->register_parameter("shared", net->backbone->features[0]->parameters()[0]);
  std::map<const void*, int> found;
  for (const auto& group : param_groups(net))
    for (const torch::Tensor& parameter : group.params())
      CHECK(++found[parameter.unsafeGetTensorImpl()] == 1);

  net->replace_module("head", Head(16, 24));
  CHECK_THROWS_WITH_AS(net->forward(x), doctest::Contains("\"head\""), c10::Error);
  CHECK_THROWS_AS(deploy(net), c10::Error);
  CHECK_THROWS_AS(net.clone(), c10::Error);
  CHECK_THROWS_AS(param_groups(net), c10::Error);
  CHECK_THROWS_AS(save(net, folder / "replaced.pth"), c10::Error);
}

TEST_CASE("what LibTorch's replace_module does is refused wherever it would not be seen") {
  const torch::Tensor x = pictures();
  const auto refused = [&](Net& net, const char* child) {
    CAPTURE(child);
    const std::string text = fmt::format("the child \"{}\"", child);
    CHECK_THROWS_WITH_AS(net->forward(x), doctest::Contains(text.c_str()), c10::Error);
    CHECK_THROWS_WITH_AS(deploy(net), doctest::Contains(text.c_str()), c10::Error);
    CHECK_THROWS_WITH_AS(save(net, "/nowhere/net.pth"), doctest::Contains(text.c_str()),
                         c10::Error);
    CHECK_THROWS_WITH_AS(param_groups(net), doctest::Contains(text.c_str()), c10::Error);
  };
  const torch::nn::Conv2dOptions options(8, 8, 1);
  Net output, hidden, features, feature, block, conv, norm, squeeze;
  output->classifier->replace_module("3", torch::nn::Linear(16, 5));
  refused(output, "3");
  hidden->classifier->replace_module("0", torch::nn::Linear(24, 16));
  refused(hidden, "0");
  features->replace_module("features", Net()->features);
  refused(features, "features");
  feature->features->replace_module("2", torch::nn::Conv2d(options));
  refused(feature, "2");
  block->features->at<1>().block->replace_module("0", torch::nn::Conv2d(options));
  refused(block, "0");
  conv->features->at<0>().replace_module("0", torch::nn::Conv2d(options));
  refused(conv, "0");
  norm->features->at<0>().replace_module("1", torch::nn::BatchNorm2d(8));
  refused(norm, "1");
  squeeze->features->at<1>().block->squeeze->replace_module("fc1", torch::nn::Conv2d(options));
  refused(squeeze, "fc1");

  Net dropout, pool, activation, gate, removed;
  dropout->classifier->replace_module("2", torch::nn::Dropout(0.0));
  refused(dropout, "2");
  pool->replace_module("avgpool", torch::nn::AdaptiveMaxPool2d(1));
  refused(pool, "avgpool");
  activation->features->at<0>().replace_module("2", torch::nn::ReLU());
  refused(activation, "2");
  gate->features->at<1>().block->squeeze->replace_module("scale_activation", torch::nn::Sigmoid());
  refused(gate, "scale_activation");
  removed->features->unregister_module("6");
  CHECK_THROWS_WITH_AS(removed->forward(x), doctest::Contains("after the last one"), c10::Error);

  SUBCASE("also with the member") {
    Net strided, eps;
    auto& stem = strided->features->at<0>();
    stem.conv = stem.replace_module(
        "0", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).stride(1).bias(true)));
    refused(strided, "0");
    auto& normed = eps->features->at<0>();
    normed.norm = normed.replace_module(
        "1", torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(8).eps(10)));
    refused(eps, "1");
    Net assigned;
    assigned->features->at<0>().conv = torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3));
    refused(assigned, "0");
    Net net;
    net->classifier->output = net->classifier->replace_module("3", torch::nn::Linear(16, 9));
    for (const auto& run : {std::function<void()>([&] { net->forward(x); }),
                            std::function<void()>([&] { deploy(net); })})
      CHECK_THROWS_WITH_AS(run(), doctest::Contains("replace_classifier(net, 9)"), c10::Error);
    net->classifier->output = net->classifier->replace_module("3", torch::nn::Linear(16, 5));
    net->eval();
    CHECK(support::close(deploy(net)(x), net->forward(x)));  // as many as its type says
  }
}

TEST_CASE("drop path drops whole pictures of what a block adds, and makes up for it") {
  torch::manual_seed(4);
  Net net;
  set_drop_path(net, 0.5);
  CHECK(net->features->at<1>().drop_path == 0);
  CHECK(net->features->at<3>().drop_path == doctest::Approx(0.2));
  CHECK(net->features->at<5>().drop_path == doctest::Approx(0.4));
  CHECK(net.clone()->features->at<5>().drop_path == doctest::Approx(0.4));
  CHECK_THROWS_WITH_AS(set_drop_path(net, 1), doctest::Contains("was given 1"), c10::Error);

  InvertedResidual block(InvertedResidualConfig{8, 3, 16, 8, false, Activation::RE, 1});
  const torch::Tensor x = torch::rand({64, 8, 4, 4}, torch::kDouble);
  block->to(torch::kDouble);
  block->eval();
  const torch::Tensor branch = block->forward(x) - x;
  block->drop_path = 0.25;
  CHECK(support::same(block->forward(x) - x, branch));  // not in eval()
  block->train();
  for (const auto& module : block->modules())
    if (auto* norm = module->as<torch::nn::BatchNorm2d>()) norm->eval();
  const torch::Tensor added = block->forward(x) - x;
  int dropped = 0;
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    const bool is_dropped = added[i].abs().max().item<double>() == 0;
    dropped += is_dropped;
    if (!is_dropped) CHECK(support::close(added[i], branch[i] / 0.75, 1e-12));
  }
  CHECK(dropped >= 6);
  CHECK(dropped <= 28);
}

struct NoNorm : Tiny {
  static constexpr Settings settings{.norm = Norm::none};
};
struct GroupNorm : Tiny {
  static constexpr Settings settings{.norm = Norm::group};
};
struct FrozenNorm : Tiny {
  static constexpr Settings settings{.norm = Norm::frozen_batch};
};
struct OneLinear : Tiny {
  static constexpr Settings settings{.hidden_layer = false};
};

TEST_CASE_TEMPLATE("networks of other settings have the same means", Arch, NoNorm, GroupNorm,
                   FrozenNorm, OneLinear) {
  MobileNetV3<Arch> net;
  freeze(net, stages<stem>{});
  auto mine = replace_classifier(net.clone(), 4);
  mine->train();
  mine->forward(pictures()).sum().backward();
  CHECK_FALSE(mine->features[0]->is_training());
  mine->eval();
  const torch::Tensor x = pictures();
  CHECK(support::close(deploy(mine)(x), mine->forward(x), 1e-3));
}

TEST_CASE("gradient checkpointing changes nothing but memory") {
  torch::manual_seed(5);
  MobileNetV3<Tiny, taps<expansion<3>, after<4>, logits>> net;
  net->to(torch::kDouble);
  set_drop_path(net, 0.3);
  freeze(net, stages<stem>{});
  auto other = net.clone();
  set_grad_checkpointing(other);
  CHECK(other.clone()->features->grad_checkpointing);
  const torch::Tensor x = pictures().to(torch::kDouble);
  const auto gradients = [&](auto& network) {
    torch::manual_seed(6);
    network->train();
    const auto [a, b, c] = network->forward(x);
    (a.square().sum() + b.square().sum() + c.square().sum()).backward();
    std::vector<torch::Tensor> found{a, b, c};
    for (const auto& parameter : network->parameters())
      if (parameter.requires_grad()) found.push_back(parameter.grad());
    for (const auto& buffer : network->buffers()) found.push_back(buffer);
    return found;
  };
  const auto expected = gradients(net);
  const auto found = gradients(other);
  REQUIRE(found.size() == expected.size());
  // Gradients of what several layers read are summed in another order; some sums cancel.
  double largest = 0;
  for (const torch::Tensor& value : expected)
    if (value.is_floating_point()) largest = std::max(largest, value.abs().max().item<double>());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK((found[i] - expected[i]).abs().max().item<double>() <= 1e-13 * largest);
  }
  CHECK(same({found.begin(), found.begin() + 3}, {expected.begin(), expected.begin() + 3}));
  std::vector<torch::Tensor> buffers = net->buffers(), others = other->buffers();
  CHECK(same(buffers, others));
}

}  // namespace
