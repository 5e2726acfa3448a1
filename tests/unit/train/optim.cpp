// SPDX-License-Identifier: MIT
#include <mnv3/train/ema.hpp>
#include <mnv3/train/losses.hpp>
#include <mnv3/train/mixup.hpp>
#include <mnv3/train/rmsprop.hpp>
#include <mnv3/train/schedule.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "doctest_torch.hpp"

#include <unit/nn/support.hpp>
#include <unit/train/least_arch.hpp>

#include <mnv3/config/published.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/state_dict.hpp>

// What a step of training is made of, each part against a formula written down here for the
// purpose. tests/parity/train_steps.py has them against torch's own in Python.

namespace {

using support::contains;
using support::error_of;
using support::same;

using Net = mnv3::MobileNetV3<LeastArch>;

// ------------------------------------------------------------------------------------------- EMA

TEST_CASE("EMA averages parameters and buffers, and copies integers") {
  for (const bool warm_up : {false, true}) {
    CAPTURE(warm_up);
    torch::manual_seed(1);
    Net net;
    net->to(torch::kDouble);
    mnv3::train::Ema<Net> ema(net, {.decay = 0.7, .warm_up = warm_up});
    mnv3::NamedTensors expected = mnv3::state_dict(*net);
    for (auto& item : expected) item.second = item.second.detach().clone();
    for (int n = 0; n < 12; ++n) {
      {
        const torch::NoGradGuard no_grad;
        for (torch::Tensor& parameter : net->parameters())
          parameter.add_(torch::randn_like(parameter));
      }
      net->forward(torch::randn({2, 3, 16, 16}, torch::kDouble));
      ema.update();
      double decay = warm_up ? std::min(0.7, (1.0 + n) / (10.0 + n)) : 0.7;
      if (!warm_up && n == 0) decay = 0;
      const auto now = mnv3::state_dict(*net);
      for (std::size_t i = 0; i < now.size(); ++i)
        expected[i].second = now[i].second.is_floating_point()
                                 ? decay * expected[i].second + (1 - decay) * now[i].second.detach()
                                 : now[i].second.clone();
    }
    CHECK(ema.updates() == 12);
    const auto found = mnv3::state_dict(*ema.average());
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(found[i].first);
      CHECK(support::close(found[i].second, expected[i].second, 1e-12));
    }
  }
}

TEST_CASE("EMA leaves what is frozen bit-equal, and frozen") {
  torch::manual_seed(2);
  Net net;
  for (auto& parameter : net->features->parameters()) parameter.set_requires_grad(false);
  net->features->eval();
  mnv3::train::Ema<Net> ema(net, {.decay = 0.9});
  for (int n = 0; n < 20; ++n) {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : net->classifier->parameters()) parameter.add_(1);
    ema.update();
  }
  for (const auto& item : net->features->named_parameters()) {
    const torch::Tensor average = ema.average()->features->named_parameters()[item.key()];
    CHECK(same(average, item.value()));
    CHECK_FALSE(average.requires_grad());
  }
  for (const auto& item : net->features->named_buffers())
    CHECK(same(ema.average()->features->named_buffers()[item.key()], item.value()));
  const auto parameters = net->classifier->parameters();
  const auto averages = ema.average()->classifier->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    CHECK(averages[i].requires_grad());
    CHECK_FALSE(torch::equal(averages[i], parameters[i]));
  }
}

TEST_CASE("EMA goes on where it was saved, and takes any module") {
  torch::manual_seed(3);
  torch::nn::Linear net(3, 2);
  net->bias.set_requires_grad(false);
  const auto change = [&] {
    const torch::NoGradGuard no_grad;
    net->weight.add_(1);
  };
  mnv3::train::Ema<torch::nn::Linear> whole(net, {.decay = 0.5});
  change();
  whole.update();
  change();
  mnv3::train::Ema<torch::nn::Linear> resumed(net, {.decay = 0.5});
  support::copy_by_name(*whole.average(), *resumed.average());
  resumed.set_updates(whole.updates());
  whole.update();
  resumed.update();
  CHECK(same(resumed.average()->weight, whole.average()->weight));
  CHECK_FALSE(same(whole.average()->weight, net->weight));
  CHECK(whole.average()->weight.requires_grad());
  CHECK_FALSE(whole.average()->bias.requires_grad());
  CHECK(contains(error_of([&] { whole.set_updates(-1); }), "-1"));

  const std::shared_ptr<torch::nn::Module> erased = net.ptr();
  mnv3::train::Ema<std::shared_ptr<torch::nn::Module>> untyped(erased);
  untyped.update();
  CHECK(same(untyped.average()->parameters()[0], net->weight));
}

TEST_CASE("EMA refuses a decay out of range, and a network that has changed") {
  Net net;
  CHECK(contains(error_of([&] { mnv3::train::Ema<Net>(net, {.decay = 1.5}); }), "1.5"));
  torch::nn::Linear layer(3, 2);
  mnv3::train::Ema<torch::nn::Linear> ema(layer);
  layer->weight.set_data(torch::zeros({4, 3}));
  CHECK(contains(error_of([&] { ema.update(); }), "[4, 3]"));
  CHECK(ema.updates() == 0);
}

// ------------------------------------------------------------------------------------- schedules

TEST_CASE("schedules follow their formulas") {
  using namespace mnv3::train;
  const WarmUp warm_up{.length = 5, .start = 0.2};
  const Cosine cosine{.length = 25, .final = 0.1, .warm_up = warm_up};
  const Step step{.every = 3, .gamma = 0.5, .warm_up = warm_up};
  const Exponential exponential{.gamma = 0.9, .every = 2, .warm_up = warm_up};
  for (const double at : {0.0, 1.0, 2.5, 4.999}) {
    const double rise = 0.2 + 0.8 * at / 5;
    for (const double value : {cosine(at), step(at), exponential(at), Constant{warm_up}(at)})
      CHECK(value == doctest::Approx(rise));
  }
  CHECK(cosine(5) == doctest::Approx(1));
  CHECK(cosine(15) == doctest::Approx(0.55));
  CHECK(cosine(25) == 0.1);
  CHECK(cosine(1000) == 0.1);
  CHECK(step(5) == 1);
  CHECK(step(7.99) == 1);
  CHECK(step(8) == 0.5);
  CHECK(step(14) == 0.125);
  CHECK(exponential(7) == doctest::Approx(0.9));
  CHECK(exponential(6) == doctest::Approx(std::sqrt(0.9)));
  CHECK(Constant{}(3) == 1);
  CHECK(Cosine{.length = 4}(0) == 1);
}

TEST_CASE("a scheduled rate keeps each group's own, and needs only the step to go on") {
  using torch::optim::OptimizerParamGroup;
  using torch::optim::SGDOptions;
  const auto group = [](double rate) {
    return OptimizerParamGroup({torch::zeros({1}, torch::requires_grad())},
                               std::make_unique<SGDOptions>(rate));
  };
  torch::optim::SGD optimizer({group(0.5), group(0.25)}, SGDOptions(1));
  mnv3::train::ScheduledRate rate(optimizer, mnv3::train::Cosine{.length = 10});
  const auto rates = [&] {
    std::vector<double> found;
    for (const auto& one : optimizer.param_groups()) found.push_back(one.options().get_lr());
    return found;
  };
  CHECK(rate.set(0) == 1);
  rate.set(7);
  CHECK(rate.set(5) == doctest::Approx(0.5));
  CHECK(rates()[0] == doctest::Approx(0.25));
  CHECK(rates()[1] == doctest::Approx(0.125));
  optimizer.add_param_group(group(8));
  rate.set(5);
  CHECK(rates()[2] == doctest::Approx(4));
  rate.set(0);
  CHECK(rates() == std::vector<double>{0.5, 0.25, 8});
  CHECK(rate.base() == rates());

  mnv3::train::ScheduledRate broken(
      optimizer, [](double) { return std::numeric_limits<double>::quiet_NaN(); });
  CHECK_THROWS_AS(broken.set(3), std::invalid_argument);
  CHECK(rates() == std::vector<double>{0.5, 0.25, 8});
  CHECK_THROWS_AS(mnv3::train::ScheduledRate(optimizer, nullptr), std::invalid_argument);
}

// ---------------------------------------------------------------------------------------- losses

/// log(softmax) of one row, with loops.
std::vector<double> naive_log_softmax(const torch::Tensor& row, double temperature) {
  double sum = 0;
  for (std::int64_t k = 0; k < row.size(0); ++k)
    sum += std::exp(row[k].item<double>() / temperature);
  std::vector<double> values;
  for (std::int64_t k = 0; k < row.size(0); ++k)
    values.push_back(row[k].item<double>() / temperature - std::log(sum));
  return values;
}

TEST_CASE("cross entropy smooths, weighs and takes soft targets") {
  torch::manual_seed(4);
  const torch::Tensor logits = torch::randn({5, 4}, torch::kDouble);
  const torch::Tensor labels = torch::tensor({0, 3, 1, 1, 2}, torch::kLong);
  double smooth = 0;
  for (std::int64_t n = 0; n < 5; ++n) {
    const auto row = naive_log_softmax(logits[n], 1);
    for (std::int64_t k = 0; k < 4; ++k)
      smooth -= row[static_cast<std::size_t>(k)] *
                (0.1 / 4 + (k == labels[n].item<std::int64_t>() ? 0.9 : 0)) / 5;
  }
  CHECK(mnv3::train::cross_entropy(logits, labels, {.label_smoothing = 0.1}).item<double>() ==
        doctest::Approx(smooth));
  const torch::Tensor hot = torch::one_hot(labels, 4).to(torch::kDouble);
  CHECK(mnv3::train::cross_entropy(logits, hot, {.label_smoothing = 0.1}).item<double>() ==
        doctest::Approx(smooth));
  const std::vector<double> weights{1, 2, 3, 4};
  double weighted = 0, total = 0;
  for (std::int64_t n = 0; n < 5; ++n) {
    const auto k = static_cast<std::size_t>(labels[n].item<std::int64_t>());
    weighted -= weights[k] * naive_log_softmax(logits[n], 1)[k];
    total += weights[k];
  }
  CHECK(mnv3::train::cross_entropy(logits, labels,
                                   {.class_weights = torch::tensor(weights, torch::kDouble)})
            .item<double>() == doctest::Approx(weighted / total));
}

TEST_CASE("distillation is Hinton's sum, and teaches only the student") {
  torch::manual_seed(5);
  const torch::Tensor student = torch::randn({3, 4}, torch::kDouble).requires_grad_();
  const torch::Tensor teacher = torch::randn({3, 4}, torch::kDouble).requires_grad_();
  const torch::Tensor labels = torch::tensor({2, 0, 3}, torch::kLong);
  double expected = 0;
  for (std::int64_t n = 0; n < 3; ++n) {
    const auto s = naive_log_softmax(student[n], 2.5), t = naive_log_softmax(teacher[n], 2.5);
    for (std::size_t k = 0; k < 4; ++k)
      expected += 0.7 * 2.5 * 2.5 * std::exp(t[k]) * (t[k] - s[k]) / 3;
    expected -=
        0.3 *
        naive_log_softmax(student[n], 1)[static_cast<std::size_t>(labels[n].item<std::int64_t>())] /
        3;
  }
  const torch::Tensor loss =
      mnv3::train::distillation_loss(student, teacher, labels, {.temperature = 2.5, .alpha = 0.7});
  CHECK(loss.item<double>() == doctest::Approx(expected));
  loss.backward();
  CHECK(student.grad().defined());
  CHECK_FALSE(teacher.grad().defined());
}

TEST_CASE("losses say which label is wrong, and which shapes do not fit") {
  using mnv3::train::cross_entropy;
  using mnv3::train::distillation_loss;
  const torch::Tensor logits = torch::zeros({3, 4});
  const auto labels = [](std::vector<std::int64_t> values) {
    return torch::tensor(values, torch::kLong);
  };
  const std::string high = error_of([&] { cross_entropy(logits, labels({1, 0, 12})); });
  CHECK(contains(high, "label 2 is 12"));
  CHECK(contains(high, "from 0 to 3"));
  CHECK(contains(error_of([&] { cross_entropy(logits, labels({1, -1, 2})); }), "label 1 is -1"));
  CHECK(contains(error_of([&] { cross_entropy(logits, labels({1, 1})); }), "2 labels"));
  CHECK(contains(error_of([&] { cross_entropy(logits, torch::zeros({3, 5})); }), "[3, 5]"));
  CHECK(contains(error_of([&] {
                   cross_entropy(logits, labels({1, 1, 1}).to(torch::kInt));
                 }),
                 "int64"));
  CHECK(contains(error_of([&] { cross_entropy(logits[0], labels({1})); }), "[4]"));
  CHECK(contains(error_of([&] {
                   cross_entropy(logits, labels({1, 1, 1}), {.label_smoothing = 2});
                 }),
                 "given as 2"));
  CHECK(contains(error_of([&] {
                   cross_entropy(logits, labels({1, 1, 1}), {.class_weights = torch::ones({3})});
                 }),
                 "4 classes"));
  const auto distill = [&](const torch::Tensor& teacher, mnv3::train::DistillationOptions options) {
    return error_of([&] { distillation_loss(logits, teacher, labels({1, 1, 1}), options); });
  };
  CHECK(contains(distill(torch::zeros({3, 5}), {}), "the teacher's are [3, 5]"));
  CHECK(contains(distill(logits, {.temperature = 0}), "given as 0"));
  CHECK(contains(distill(logits, {.alpha = 1.5}), "given as 1.5"));
  CHECK(distill(logits, {}).empty());
}

// ------------------------------------------------------------------------------------ mixup, cutmix

at::Generator generator(std::uint64_t seed) {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

TEST_CASE("mixup and cutmix mix labels as they mix pictures") {
  // Each picture is filled with its own number, so that what it became says what it was made of.
  const std::int64_t count = 4, classes = 6;
  const torch::Tensor numbers = torch::arange(count, torch::kDouble);
  const torch::Tensor pictures =
      numbers.view({count, 1, 1, 1}).expand({count, 3, 10, 14}).contiguous();
  const torch::Tensor labels = torch::tensor({5, 0, 3, 2}, torch::kLong);
  const torch::Tensor hot = torch::one_hot(labels, classes).to(torch::kDouble);
  int mixed_boxes = 0, different = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    for (const bool is_cutmix : {false, true}) {
      CAPTURE(is_cutmix);
      at::Generator random = generator(seed);
      const auto mixed = is_cutmix ? mnv3::train::cutmix(pictures, labels, classes, random)
                                   : mnv3::train::mixup(pictures, labels, classes, random);
      const double share = mixed.target[1][0].item<double>();  // picture 1's own label is 0
      CHECK(support::close(mixed.target, share * hot + (1 - share) * hot.roll(1, 0), 1e-12));
      CHECK(support::close(mixed.pictures.mean({1, 2, 3}),
                           share * numbers + (1 - share) * numbers.roll(1), 1e-12));
      if (is_cutmix) {  // whole pixels
        CHECK(((mixed.pictures == pictures) | (mixed.pictures == pictures.roll(1, 0)))
                  .all()
                  .item<bool>());
        mixed_boxes += share > 0 && share < 1;
      } else {
        CHECK(support::close(mixed.pictures, share * pictures + (1 - share) * pictures.roll(1, 0),
                             1e-12));
      }
      random = generator(seed);
      const auto again = is_cutmix ? mnv3::train::cutmix(pictures, labels, classes, random)
                                   : mnv3::train::mixup(pictures, labels, classes, random);
      CHECK(same(again.pictures, mixed.pictures));
      CHECK(same(again.target, mixed.target));
      const auto other = is_cutmix ? mnv3::train::cutmix(pictures, labels, classes, random)
                                   : mnv3::train::mixup(pictures, labels, classes, random);
      different += !torch::equal(other.target, mixed.target);
    }
  }
  CHECK(mixed_boxes > 10);
  CHECK(different > 30);  // of 40: the generator has moved on
  CHECK(same(pictures[2], torch::full({3, 10, 14}, 2.0, torch::kDouble)));
}

TEST_CASE("mixing may be left out, and says what it cannot mix") {
  const torch::Tensor pictures = torch::rand({2, 3, 4, 4});
  const torch::Tensor labels = torch::tensor({1, 0}, torch::kLong);
  const auto mixed = mnv3::train::mixup(pictures, labels, 2, generator(1), {.probability = 0});
  CHECK(same(mixed.pictures, pictures));
  CHECK(same(mixed.target, torch::tensor({{0.F, 1.F}, {1.F, 0.F}})));
  const auto error = [&](const torch::Tensor& x, const torch::Tensor& y,
                         mnv3::train::MixOptions options) {
    return error_of([&] { mnv3::train::cutmix(x, y, 2, generator(1), options); });
  };
  CHECK(contains(error(pictures[0], labels, {}), "[3, 4, 4]"));
  CHECK(contains(error(pictures, labels + 1, {}), "label 0 is 2"));
  CHECK(contains(error(pictures, labels[0].view({1}), {}), "1 labels"));
  CHECK(contains(error(pictures, labels, {.alpha = 0}), "given as 0"));
  CHECK(contains(error(pictures, labels, {.probability = 2}), "given as 2"));
}

// --------------------------------------------------------------------------------------- RMSpropTF

using mnv3::train::RMSpropTF;
using mnv3::train::RMSpropTFOptions;

/// One number under TensorFlow's formulas.
struct NaiveRMSprop {
  double mean_square = 1, mean = 0, momentum = 0;

  double step(double parameter, double gradient, const RMSpropTFOptions& o) {
    if (o.decoupled_decay()) parameter -= o.lr() * o.weight_decay() * parameter;
    if (!o.decoupled_decay()) gradient += o.weight_decay() * parameter;
    mean_square = o.alpha() * mean_square + (1 - o.alpha()) * gradient * gradient;
    mean = o.alpha() * mean + (1 - o.alpha()) * gradient;
    const double variance = mean_square - (o.centered() ? mean * mean : 0);
    const double direction = gradient / std::sqrt(variance + o.eps());
    if (o.lr_in_momentum()) {
      momentum = o.momentum() * momentum + o.lr() * direction;
      return parameter - momentum;
    }
    momentum = o.momentum() * momentum + direction;
    return parameter - o.lr() * momentum;
  }
};

TEST_CASE("RMSpropTF takes TensorFlow's steps, each group with its own options") {
  const std::vector<RMSpropTFOptions> kinds{
      RMSpropTFOptions(0.1),
      RMSpropTFOptions(0.1).momentum(0).eps(0.01),
      RMSpropTFOptions(0.05).weight_decay(0.1).eps(1e-3),
      RMSpropTFOptions(0.05).weight_decay(0.1).decoupled_decay(true),
      RMSpropTFOptions(0.1).centered(true).alpha(0.8),
      RMSpropTFOptions(0.1).lr_in_momentum(false).momentum(0.5)};
  std::vector<torch::optim::OptimizerParamGroup> groups;
  std::vector<double> expected;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    expected.push_back(1 + 0.5 * static_cast<double>(i));
    const torch::Tensor parameter = torch::full({1}, expected[i], torch::kDouble).requires_grad_();
    const torch::Tensor without = torch::ones({1}, torch::requires_grad());
    groups.emplace_back(std::vector<torch::Tensor>{parameter, without},
                        std::make_unique<RMSpropTFOptions>(kinds[i]));
  }
  RMSpropTF optimizer(std::move(groups));
  std::vector<NaiveRMSprop> naive(kinds.size());
  for (int n = 0; n < 6; ++n) {
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      const double rate = n < 3 ? kinds[i].lr() : 2 * kinds[i].lr();  // where the two momenta part
      RMSpropTFOptions now = kinds[i];
      now.lr(rate);
      optimizer.param_groups()[i].options().set_lr(rate);
      expected[i] = naive[i].step(expected[i], 2 * expected[i], now);  // the gradient of x * x
    }
    optimizer.zero_grad();
    const torch::Tensor loss = optimizer.step([&] {
      torch::Tensor sum = torch::zeros({1}, torch::kDouble);
      for (auto& group : optimizer.param_groups()) sum = sum + group.params()[0].square();
      sum.backward();
      return sum;
    });
    CHECK(loss.defined());
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      CAPTURE(i);
      CHECK(optimizer.param_groups()[i].params()[0].item<double>() ==
            doctest::Approx(expected[i]).epsilon(1e-12));
      CHECK(optimizer.param_groups()[i].params()[1].item<float>() == 1.F);
    }
  }
}

TEST_CASE("RMSpropTF goes on after torch::save and torch::load, options included") {
  torch::manual_seed(6);
  const auto make = [](const torch::nn::Linear& net, double rate) {
    return RMSpropTF(net->parameters(), RMSpropTFOptions(rate).centered(true).eps(0.1 * rate));
  };
  const torch::Tensor x = torch::randn({4, 3});
  const auto step = [&](torch::nn::Linear& net, RMSpropTF& optimizer) {
    optimizer.zero_grad();
    net->forward(x).square().sum().backward();
    optimizer.step();
  };
  torch::nn::Linear net(3, 2), copy(3, 2);
  RMSpropTF whole = make(net, 0.01);
  step(net, whole);
  step(net, whole);
  std::stringstream file;
  torch::save(whole, file);
  support::copy_by_name(*net, *copy);
  RMSpropTF resumed = make(copy, 0.5);
  torch::load(resumed, file);
  CHECK(resumed.param_groups()[0].options().get_lr() == 0.01);
  step(net, whole);
  step(copy, resumed);
  CHECK(same(copy->weight, net->weight));
  CHECK(same(copy->bias, net->bias));

  std::stringstream again;
  torch::save(whole, again);
  RMSpropTF other({net->weight});
  CHECK_THROWS_AS(torch::load(other, again), c10::Error);
}

TEST_CASE("RMSpropTF refuses options out of range, in groups too") {
  const std::vector<torch::Tensor> parameters{torch::zeros({1}, torch::requires_grad())};
  const auto error = [&](const RMSpropTFOptions& options) {
    return error_of([&] { RMSpropTF(parameters, options); });
  };
  CHECK(contains(error(RMSpropTFOptions(-1)), "lr is -1"));
  CHECK(contains(error(RMSpropTFOptions().alpha(1.5)), "alpha is 1.5"));
  CHECK(contains(error(RMSpropTFOptions().eps(-1)), "eps"));
  CHECK(contains(error(RMSpropTFOptions().momentum(-1)), "momentum"));
  CHECK(contains(error(RMSpropTFOptions().weight_decay(-1)), "weight_decay"));
  CHECK(contains(error_of([&] {
                   RMSpropTF(std::vector<torch::optim::OptimizerParamGroup>{
                       {parameters, std::make_unique<RMSpropTFOptions>(-2)}});
                 }),
                 "lr is -2"));
}

}  // namespace
