// SPDX-License-Identifier: MIT
// Our side of train_steps.py: reads commands from standard input, one a line, and answers each with
// "ok" or "error: ...", as tool.cpp does. Options are NAME=VALUE, in any order.
//
//   train NET WEIGHTS INPUTS OUTPUTS OPTIONS   steps in float64; writes state, EMA and loss
//       optimizer, frozen (features), micro_batches, clip, ema (decay), recompute, seed; and by
//       name the options of the optimizer
//   autocast NET WEIGHTS INPUTS OUTPUTS        logits and gradients under bfloat16 autocast
//   mix KIND SEED INPUTS OUTPUTS OPTIONS       KIND: mixup, cutmix; alpha, probability, classes
//   schedule KIND STEPS OUTPUT OPTIONS         KIND: constant, cosine, step, exponential
//   distill INPUTS OUTPUTS OPTIONS             temperature, alpha, smoothing

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <mnv3/config.hpp>
#include <mnv3/nn.hpp>
#include <mnv3/train/autocast.hpp>
#include <mnv3/train/ema.hpp>
#include <mnv3/train/freeze.hpp>
#include <mnv3/train/losses.hpp>
#include <mnv3/train/mixup.hpp>
#include <mnv3/train/rmsprop.hpp>
#include <mnv3/train/schedule.hpp>
#include <mnv3/weights.hpp>

#include <parity/serve.hpp>

namespace {

using namespace mnv3;

using Tensors = std::map<std::string, torch::Tensor>;

Tensors read_all(const std::string& path) {
  Tensors tensors;
  const CheckpointReader file(path);
  for (const TensorEntry& entry : file.entries()) tensors.emplace(entry.name, file.read(entry));
  return tensors;
}

/// NAME=VALUE ...
class Options {
 public:
  explicit Options(std::istream& words) {
    for (std::string word; words >> word;) {
      const auto middle = word.find('=');
      if (middle == std::string::npos) throw std::invalid_argument("no NAME=VALUE: " + word);
      values_[word.substr(0, middle)] = word.substr(middle + 1);
    }
  }
  std::string text(const std::string& name, const std::string& otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }
  double number(const std::string& name, double otherwise = 0) const {
    return std::stod(text(name, fmt::format("{}", otherwise)));
  }
  std::int64_t integer(const std::string& name, std::int64_t otherwise = 0) const {
    return std::stoll(text(name, fmt::format("{}", otherwise)));
  }
  bool flag(const std::string& name) const { return integer(name) != 0; }

 private:
  std::map<std::string, std::string> values_;
};

std::unique_ptr<torch::optim::Optimizer> make_optimizer(
    const std::vector<torch::Tensor>& parameters, const Options& options) {
  const std::string kind = options.text("optimizer", "");
  const double lr = options.number("lr"), weight_decay = options.number("weight_decay");
  const double momentum = options.number("momentum");
  if (kind == "sgd")
    return std::make_unique<torch::optim::SGD>(parameters, torch::optim::SGDOptions(lr)
                                                               .momentum(momentum)
                                                               .nesterov(options.flag("nesterov"))
                                                               .weight_decay(weight_decay));
  if (kind == "adamw")
    return std::make_unique<torch::optim::AdamW>(
        parameters, torch::optim::AdamWOptions(lr).weight_decay(weight_decay));
  if (kind == "rmsprop")
    return std::make_unique<torch::optim::RMSprop>(parameters,
                                                   torch::optim::RMSpropOptions(lr)
                                                       .alpha(options.number("alpha", 0.99))
                                                       .eps(options.number("eps", 1e-8))
                                                       .momentum(momentum)
                                                       .centered(options.flag("centered"))
                                                       .weight_decay(weight_decay));
  if (kind == "rmsprop_tf")
    return std::make_unique<train::RMSpropTF>(
        parameters, train::RMSpropTFOptions(lr)
                        .alpha(options.number("alpha", 0.9))
                        .eps(options.number("eps", 1e-10))
                        .momentum(momentum)
                        .centered(options.flag("centered"))
                        .decoupled_decay(options.flag("decoupled_decay"))
                        .lr_in_momentum(options.integer("lr_in_momentum", 1) != 0)
                        .weight_decay(weight_decay));
  throw std::invalid_argument("no optimizer " + kind);
}

template <class Arch>
void train_steps(std::istream& words) {
  std::string weights, inputs, outputs;
  words >> weights >> inputs >> outputs;
  const Options options(words);
  MobileNetV3<Arch> net;
  net->to(torch::kDouble);
  load(net, weights);
  freeze(net, 0, options.integer("frozen"));
  net->train();  // which the frozen part does not heed
  set_grad_checkpointing(net, options.flag("recompute"));
  const auto optimizer = make_optimizer(net->parameters(), options);
  train::Ema<MobileNetV3<Arch>> ema(
      net, {.decay = options.number("ema", 0.9), .warm_up = options.flag("ema_warm_up")});
  const Tensors given = read_all(inputs);
  const torch::Tensor pictures = given.at("pictures"), labels = given.at("labels");
  const std::int64_t micro_batches = options.integer("micro_batches", 1);
  torch::manual_seed(static_cast<std::uint64_t>(options.integer("seed")));
  std::vector<double> losses;
  for (std::int64_t step = 0; step < pictures.size(0); ++step) {
    optimizer->zero_grad();
    double sum = 0;
    for (std::int64_t i = 0; i < micro_batches; ++i) {
      const torch::Tensor x = pictures[step].chunk(micro_batches)[static_cast<std::size_t>(i)];
      const torch::Tensor y = labels[step].chunk(micro_batches)[static_cast<std::size_t>(i)];
      const torch::Tensor loss =
          train::cross_entropy(net->forward(x), y,
                               {.label_smoothing = options.number("label_smoothing")}) /
          static_cast<double>(micro_batches);
      loss.backward();
      sum += loss.item<double>();
    }
    if (const double most = options.number("clip"); most > 0)
      torch::nn::utils::clip_grad_norm_(net->parameters(), most);
    optimizer->step();
    ema.update();
    losses.push_back(sum);
  }
  NamedTensors results{{"losses", torch::tensor(losses, torch::kDouble)}};
  for (const auto& [name, tensor] : state_dict(*net))
    results.emplace_back("state." + name, tensor.detach());
  for (const auto& [name, tensor] : state_dict(*ema.average()))
    results.emplace_back("ema." + name, tensor.detach());
  write_pth(outputs, results);
}

template <class Arch>
void run_autocast(std::istream& words) {
  std::string weights, inputs, outputs;
  words >> weights >> inputs >> outputs;
  MobileNetV3<Arch> net;
  load(net, weights);
  net->eval();
  const Tensors given = read_all(inputs);
  torch::Tensor logits, loss;
  {
    const train::Autocast autocast;
    logits = net->forward(given.at("pictures"));
    loss = train::cross_entropy(logits, given.at("labels"));
  }
  loss.backward();
  NamedTensors results{{"logits", logits.detach()}};
  for (const auto& item : net->named_parameters())
    results.emplace_back("grad." + item.key(), item.value().grad());
  write_pth(outputs, results);
}

void mix(std::istream& words) {
  std::string kind, inputs, outputs;
  std::uint64_t seed = 0;
  words >> kind >> seed >> inputs >> outputs;
  const Options options(words);
  const Tensors given = read_all(inputs);
  const at::Generator random = at::make_generator<at::CPUGeneratorImpl>(seed);
  NamedTensors results;
  for (int i = 0; i < 3; ++i) {
    const auto mixed = (kind == "mixup" ? train::mixup : train::cutmix)(
        given.at("pictures"), given.at("labels"), options.integer("classes"), random,
        {.alpha = options.number("alpha", 1), .probability = options.number("probability", 1)});
    results.emplace_back(fmt::format("pictures.{}", i), mixed.pictures);
    results.emplace_back(fmt::format("target.{}", i), mixed.target);
  }
  write_pth(outputs, results);
}

void schedule(std::istream& words) {
  std::string kind, output;
  int steps = 0;
  words >> kind >> steps >> output;
  const Options options(words);
  const train::WarmUp warm_up{options.number("warm_up"), options.number("start", 0.01)};
  const double length = options.number("length"), every = options.number("every", 1);
  const double gamma = options.number("gamma"), final = options.number("final");
  const std::map<std::string, std::function<double(double)>> schedules{
      {"constant", train::Constant{warm_up}},
      {"cosine", train::Cosine{length, final, warm_up}},
      {"step", train::Step{every, gamma, warm_up}},
      {"exponential", train::Exponential{gamma, every, warm_up}}};
  const torch::Tensor parameter = torch::zeros({1}, torch::requires_grad());
  torch::optim::SGD optimizer({parameter}, torch::optim::SGDOptions(options.number("lr")));
  train::ScheduledRate rate(optimizer, schedules.at(kind));
  std::vector<double> rates;
  for (int step = 0; step < steps; ++step) {
    rate.set(step);
    rates.push_back(optimizer.param_groups()[0].options().get_lr());
  }
  write_pth(output, {{"rates", torch::tensor(rates, torch::kDouble)}});
}

void distill(std::istream& words) {
  std::string inputs, outputs;
  words >> inputs >> outputs;
  const Options options(words);
  const Tensors given = read_all(inputs);
  const torch::Tensor student = given.at("student").clone().requires_grad_();
  const torch::Tensor loss =
      train::distillation_loss(student, given.at("teacher"), given.at("labels"),
                               {.temperature = options.number("temperature"),
                                .alpha = options.number("alpha"),
                                .labels = {.label_smoothing = options.number("smoothing")}});
  loss.backward();
  write_pth(outputs, {{"loss", loss.detach()}, {"grad", student.grad()}});
}

void obey(const std::string& line) {
  using Command = void (*)(std::istream&);
  static const std::map<std::string, Command> commands{{"train large", train_steps<LargeArch>},
                                                       {"train small", train_steps<SmallArch>},
                                                       {"autocast small", run_autocast<SmallArch>}};
  std::istringstream words(line);
  std::string command, net;
  words >> command;
  if (command == "mix") return mix(words);
  if (command == "schedule") return schedule(words);
  if (command == "distill") return distill(words);
  words >> net;
  const auto known = commands.find(command + " " + net);
  if (known == commands.end()) throw std::invalid_argument("not understood: " + line);
  known->second(words);
}

}  // namespace

int main() {
  at::set_num_threads(2);  // as in train_steps.py
  serve(obey);
}
