// SPDX-License-Identifier: MIT
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <torch/torch.h>

#include <mnv3/mnv3.hpp>
#include <mnv3/train/data/tensor_loader.hpp>
#include <mnv3/train/distributed.hpp>
#include <mnv3/train/freeze.hpp>
#include <mnv3/train/param_groups.hpp>
#include <mnv3/train/trainer.hpp>

// One rank: tool CASE [name=value...] [+ CASE ...]. What it has trained goes into `out`, for run.py to compare.

namespace {

namespace train = mnv3::train;

// Every kind of block.
struct TinyArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 3, 8, 8, true, RE, 1},
      {8, 3, 24, 16, false, RE, 2},
      {16, 5, 40, 16, true, HS, 1},
      {16, 3, 48, 24, true, HS, 2, 2},
  });
  static constexpr mnv3::Settings settings{.num_classes = 10, .last_channel = 32, .dropout = 0};
};

struct SmallWithoutDropout : mnv3::SmallArch {
  static constexpr mnv3::Settings settings{.num_classes = 10, .dropout = 0};
};

using Arguments = std::map<std::string, std::string>;

int number(const Arguments& arguments, const char* name, int otherwise) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? otherwise : std::stoi(found->second);
}

/// Where this rank's share of `count` pictures begins and ends: of different sizes if `uneven`.
std::array<std::int64_t, 2> share(const train::Group& group, std::int64_t count, bool uneven) {
  const auto begin = [&](std::int64_t rank) {
    return uneven ? count * rank * rank / (group.size() * group.size())
                  : count * rank / group.size();
  };
  return {begin(group.rank()), begin(group.rank() + 1)};
}

void write(const std::string& path, const std::vector<torch::Tensor>& tensors) {
  std::ofstream file(path, std::ios::binary);
  for (const torch::Tensor& tensor : tensors) {
    const torch::Tensor values = torch::cat(
        {torch::full({1}, tensor.numel(), torch::kDouble), tensor.to(torch::kDouble).flatten()});
    file.write(static_cast<const char*>(values.data_ptr()),
               static_cast<std::streamsize>(values.nbytes()));
  }
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::vector<torch::Tensor> state_of(const torch::nn::Module& module) {
  std::vector<torch::Tensor> state = module.parameters();
  for (const torch::Tensor& buffer : module.buffers()) state.push_back(buffer);
  return state;
}

/// SGD on shares of the same batches, as one process would see them whole.
template <class Arch>
void train_shares(train::Group& group, const Arguments& arguments) {
  const int steps = number(arguments, "steps", 3), parts = number(arguments, "parts", 1);
  const int batch = number(arguments, "batch", 12), side = number(arguments, "side", 32);
  const bool uneven = number(arguments, "uneven", 0) != 0;
  torch::manual_seed(number(arguments, "local", 0) != 0 ? 1 : 1 + group.rank());
  mnv3::MobileNetV3<Arch> net;
  net->to(number(arguments, "float", 0) != 0 ? torch::kFloat : torch::kDouble);
  mnv3::to_memory_format(*net, torch::MemoryFormat::ChannelsLast);
  const auto type = net->parameters().front().scalar_type();
  if (group.size() == 1) torch::manual_seed(1);  // the values that rank 0 has are all ranks'

  const int frozen = number(arguments, "frozen", 0);
  mnv3::freeze(net, 0, frozen);
  group.attach(*net);
  if (number(arguments, "local", 0) == 0)
    if (!train::synchronize_batch_norm(*net, group).empty())
      throw std::runtime_error("a batch norm was left");
  std::vector<torch::Tensor> before;
  for (int i = 0; i < frozen; ++i)
    for (const torch::Tensor& tensor :
         state_of(*net->features->children()[static_cast<std::size_t>(i)]))
      before.push_back(tensor.clone());

  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  torch::Generator generator = at::detail::createCPUGenerator(7);
  double seconds = 0;
  std::int64_t pictures = 0;
  for (int step = 0; step < steps; ++step) {
    net->train();  // which the frozen part does not heed
    optimizer.zero_grad();
    for (int part = 0; part < parts; ++part) {
      const torch::Tensor x = torch::randn({batch, 3, side, side}, generator)
                                  .to(type)
                                  .contiguous(torch::MemoryFormat::ChannelsLast);
      const torch::Tensor y = torch::randint(10, {batch}, generator, torch::kLong);
      const auto start = std::chrono::steady_clock::now();
      const auto [begin, end] = share(group, batch, uneven);
      const torch::Tensor logits = net->forward(x.slice(0, begin, end));
      // The mean over the whole batch, of which `attach` takes the mean over ranks.
      const torch::Tensor loss =
          torch::cross_entropy_loss(logits, y.slice(0, begin, end), {}, at::Reduction::Sum) *
          (static_cast<double>(group.size()) / (batch * parts));
      group.prepare_for_backward({loss}, part + 1 == parts);
      loss.backward();
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      pictures += end - begin;
    }
    optimizer.step();
    if (number(arguments, "slow", 0) != 0) {
      fmt::print("step {}\n", step);
      std::fflush(stdout);
    }
  }
  std::vector<torch::Tensor> state = state_of(*net);
  for (const torch::Tensor& parameter : net->parameters())
    if (parameter.grad().defined()) state.push_back(parameter.grad());
  write(arguments.at("out"), state);
  std::size_t k = 0;
  for (int i = 0; i < frozen; ++i)
    for (const torch::Tensor& tensor :
         state_of(*net->features->children()[static_cast<std::size_t>(i)]))
      if (!torch::equal(tensor, before[k++])) throw std::runtime_error("a frozen part moved");
  if (frozen > 0)
    for (const torch::Tensor& parameter : net->features->children()[0]->parameters())
      if (parameter.grad().defined()) throw std::runtime_error("a frozen part has a gradient");
  if (arguments.at("out").starts_with("small"))
    fmt::print("rank {} of {}: {:.1f} images/s of {} x {}\n", group.rank(), group.size(),
               static_cast<double>(pictures) / seconds, side, side);
}

/// Each rank uses another of three layers, and none the last.
void train_unused(train::Group& group, const Arguments& arguments) {
  torch::manual_seed(1);
  torch::nn::Linear first(4, 4), second(4, 4), never(4, 4);
  torch::nn::Sequential all(first, second, never);
  all->to(torch::kDouble);
  group.attach(*all);
  const torch::Tensor x = torch::arange(8, torch::kDouble).view({2, 4}) / 8;
  for (int step = 0; step < 2; ++step) {
    all->zero_grad();
    torch::Tensor loss = torch::zeros({}, torch::kDouble);
    for (int rank = 0; rank < 2; ++rank)
      if (group.size() == 1 || group.rank() == rank)
        loss = loss + (rank == 0 ? first : second)->forward(x).square().sum();
    if (group.size() == 1) loss = loss / 2;
    group.prepare_for_backward({loss}, true);
    loss.backward();
  }
  if (never->weight.grad().defined() && never->weight.grad().abs().max().item<double>() != 0)
    throw std::runtime_error("a parameter that nobody uses has a gradient");
  write(arguments.at("out"),
        {first->weight.grad(), first->bias.grad(), second->weight.grad(), second->bias.grad()});
}

void expect(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error(what);
}

/// Largest difference in parts of the largest value.
double difference(const torch::Tensor& ours, const torch::Tensor& theirs) {
  expect(ours.sizes() == theirs.sizes() && ours.scalar_type() == theirs.scalar_type(), "kind");
  if (ours.numel() == 0) return 0;
  const torch::Tensor truth = theirs.detach().to(torch::kDouble);
  return ((ours.detach().to(torch::kDouble) - truth).abs().max() / truth.abs().max())
      .item<double>();
}

struct NormCase {
  torch::ScalarType type = torch::kDouble;
  torch::MemoryFormat format = torch::MemoryFormat::ChannelsLast;
  bool affine = true;
  bool tracking = true;
  c10::optional<double> momentum = 0.1;
  double limit = 1e-12;
  bool uneven = false;
};

/// One layer on shares of a batch, against LibTorch's own on the whole.
void compare_norm(train::Group& group, const NormCase& c, const std::string& name) {
  torch::manual_seed(3);
  const auto options = torch::nn::BatchNorm2dOptions(20)
                           .affine(c.affine)
                           .track_running_stats(c.tracking)
                           .momentum(c.momentum);
  torch::nn::BatchNorm2d ours(options), theirs(options);
  const auto wide = c.type == torch::kBFloat16 ? torch::kFloat : c.type;
  for (auto* norm : {&ours, &theirs})
    for (torch::Tensor& tensor : state_of(**norm))
      if (tensor.defined() && tensor.is_floating_point()) tensor.set_data(tensor.to(wide));
  if (c.affine) {
    const torch::NoGradGuard no_grad;
    theirs->weight.uniform_(0.5, 2);
    theirs->bias.uniform_(-1, 1);
    ours->weight.copy_(theirs->weight);
    ours->bias.copy_(theirs->bias);
  }
  for (int step = 0; step < 2; ++step) {
    const auto [begin, end] = share(group, 7, c.uneven);
    const torch::Tensor x = (torch::randn({7, 20, 5, 3}) * 2 + 3).to(c.type).contiguous(c.format);
    const torch::Tensor dy = torch::randn({7, 20, 5, 3}).to(c.type);
    torch::Tensor whole = x.clone().requires_grad_();
    torch::Tensor part = x.slice(0, begin, end).clone().requires_grad_();
    const torch::Tensor truth = theirs->forward(whole);
    const torch::Tensor y = train::sync_batch_norm(*ours, part, group);
    expect(y.numel() == 0 || y.is_contiguous(c.format), name + ": memory format");
    expect(difference(y, truth.slice(0, begin, end)) < c.limit, name + ": y");
    truth.backward(dy);
    y.backward(dy.slice(0, begin, end));  // NCHW
    expect(difference(part.grad(), whole.grad().slice(0, begin, end)) < c.limit, name + ": dx");
    if (c.affine)
      for (const auto& [mine, other] :
           {std::pair(ours->weight, theirs->weight), std::pair(ours->bias, theirs->bias)}) {
        torch::Tensor sum = mine.grad().clone();
        group.all_reduce(sum);
        expect(difference(sum, other.grad()) < c.limit, name + ": parameters");
        mine.mutable_grad().zero_();
        other.mutable_grad().zero_();
      }
  }
  if (c.tracking) {
    expect(difference(ours->running_mean, theirs->running_mean) < c.limit, name + ": mean");
    expect(difference(ours->running_var, theirs->running_var) < c.limit, name + ": variance");
    expect(torch::equal(ours->num_batches_tracked, theirs->num_batches_tracked), name + ": count");
  }
  ours->eval(), theirs->eval();
  const torch::Tensor x = torch::randn({2, 20, 3, 3}).to(c.type);
  if (c.tracking)
    expect(difference(train::sync_batch_norm(*ours, x, group), theirs->forward(x)) < c.limit,
           name + ": eval");
}

template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

void norms(train::Group& group, const Arguments&) {
  compare_norm(group, {}, "double");
  compare_norm(group, {.format = torch::MemoryFormat::Contiguous}, "contiguous");
  compare_norm(group, {.type = torch::kFloat, .limit = 1e-5}, "float");
  compare_norm(group, {.type = torch::kBFloat16, .limit = 2e-2}, "bfloat16");
  compare_norm(group, {.affine = false}, "not affine");
  compare_norm(group, {.tracking = false}, "not tracking");
  compare_norm(group, {.momentum = c10::nullopt}, "cumulative");
  compare_norm(group, {.uneven = true}, "uneven");

  if (group.size() == 1) return;
  torch::nn::BatchNorm2d norm(4);
  const torch::Tensor x = torch::ones({group.rank() == 0 ? 1 : 0, 4, 1, 1});
  expect(error_of([&] {
           train::sync_batch_norm(*norm, x, group);
         }).find("more than one value per channel, and got 1") != std::string::npos,
         "one value");
  expect(error_of([&] {
           train::sync_batch_norm(*norm, x.view({-1, 4}), group);
         }).find("takes (N, 4, H, W), but x has shape [") != std::string::npos,
         "no picture");

  // What is given to layers, kept by their clones, and taken back.
  mnv3::MobileNetV3<TinyArch> net;
  torch::nn::Sequential whole(net, torch::nn::BatchNorm2d(4));
  expect(train::synchronize_batch_norm(*whole, group) == std::vector<std::string>{"1"}, "left");
  const auto set = [](torch::nn::Module& module) {
    int count = 0;
    for (const auto& part : module.modules(false))
      if (auto* layer = part->as<mnv3::Conv2dNormActivationImpl>())
        count += layer->batch_norm != nullptr;
    return count;
  };
  const int layers = set(*net);
  expect(layers > 10, "set");
  expect(set(*net.clone()) == layers, "clone");
  train::Group alone;
  train::synchronize_batch_norm(*whole, alone);
  expect(set(*net) == 0, "taken back");
}

/// all_reduce and broadcast of tensors of any type and layout.
void exchange(train::Group& group, const Arguments&) {
  const int n = group.size();
  for (const auto type : {torch::kFloat, torch::kDouble, torch::kLong, torch::kBFloat16}) {
    torch::Tensor whole = torch::arange(24, torch::kDouble).view({2, 3, 4}).to(type);
    const torch::Tensor start = whole.clone();
    torch::Tensor part = whole.transpose(0, 2).slice(0, 1, 3);  // lies in pieces
    group.all_reduce(part);
    torch::Tensor sum = start.clone();
    sum.transpose(0, 2).slice(0, 1, 3).mul_(n);
    expect(torch::equal(whole, sum), "all_reduce");
    torch::Tensor mine = torch::full({3, 2}, group.rank() + 5, type).t();
    group.broadcast(mine);
    expect(torch::equal(mine, torch::full({2, 3}, 5, type)), "broadcast");
  }
  group.barrier();
}

/// The ranks have different networks.
void differ(train::Group& group, const Arguments&) {
  torch::nn::Linear layer(4, 4 + group.rank());
  group.attach(*layer);
}

/// The ranks have frozen different parts.
void differ_frozen(train::Group& group, const Arguments&) {
  torch::nn::Linear layer(4, 5);
  layer->weight.set_requires_grad(group.rank() == 0);
  group.attach(*layer);
}

/// The library's own loop, which goes on from its checkpoint if there is one.
void train_by_trainer(train::Group& group, const Arguments& arguments) {
  torch::manual_seed(1 + group.rank());
  mnv3::MobileNetV3<TinyArch> net;
  mnv3::freeze(net, 0, 2);
  train::synchronize_batch_norm(*net, group);
  auto optimizer = mnv3::make_optimizer<torch::optim::SGD>(
      net, {.lr = 0.05}, torch::optim::SGDOptions(0.05).momentum(0.9));
  torch::Generator generator = at::detail::createCPUGenerator(7);
  const torch::Tensor pictures = torch::randn({48, 3, 32, 32}, generator);
  const torch::Tensor labels = torch::randint(10, {48}, generator, torch::kLong);
  int batches = 0;
  train::TensorLoader training(
      pictures, labels,
      {.batching = {.batch_size = 4, .seed = 3, .rank = group.rank(), .ranks = group.size()},
       .transform = [&](train::Batch&, train::RandomStream&) {
         if (number(arguments, "slow", 0) == 0) return;
         fmt::print("step {}\n", batches++);
         std::fflush(stdout);
         std::this_thread::sleep_for(std::chrono::milliseconds(50));
       }});
  train::TensorLoader validation(pictures.slice(0, 0, 29), labels.slice(0, 0, 29),
                                 {.batching = {.batch_size = 4,
                                               .shuffle = false,
                                               .rank = group.rank(),
                                               .ranks = group.size(),
                                               .even = false}});
  train::Trainer trainer(net, optimizer,
                         {.epochs = 4,
                          .checkpoint = arguments.at("checkpoint"),
                          .checkpoint_steps = 1,
                          .resume = true,
                          .print = false,
                          .progress = false,
                          .group = &group});
  const train::TrainingResult result = trainer.fit(training, validation);
  expect(result.history.size() == 4 && result.evaluation.count == 29, "what was done");
  write(arguments.at("out"), state_of(*net));
}

/// Trains until it is stopped.
void train_on(train::Group& group, Arguments arguments) {
  arguments.insert({"steps", "100000"});
  arguments.insert({"slow", "1"});
  train_shares<TinyArch>(group, arguments);
}

/// Waits, without gradients, for a rank that never comes.
void wait_in_vain(train::Group& group, const Arguments&) {
  fmt::print("step 2\n");
  std::fflush(stdout);
  if (group.rank() != 0)
    for (;;) ::pause();
  group.barrier();
}

using Case = std::pair<std::string, Arguments>;

/// CASE name=value... + CASE name=value...
std::vector<Case> read_cases(const std::vector<std::string>& words) {
  std::vector<Case> cases(1);
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (word == "+")
      cases.emplace_back();
    else if (equals == std::string::npos)
      cases.back().first = word;
    else
      cases.back().second[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return cases;
}

void run(const std::vector<Case>& cases) {
  const Arguments& first = cases.front().second;
  train::GroupOptions options;
  options.join_timeout = std::chrono::milliseconds(number(first, "join_ms", 60000));
  options.timeout = std::chrono::milliseconds(number(first, "timeout_ms", 25000));
  options.find_unused_parameters = number(first, "find_unused", 0) != 0;
  const std::unique_ptr<train::Group> group = train::join_group(options);
  const std::map<std::string, std::function<void(train::Group&, const Arguments&)>> known{
      {"tiny", train_shares<TinyArch>},
      {"small", train_shares<SmallWithoutDropout>},
      {"unused", train_unused},
      {"exchange", exchange},
      {"differ", differ},
      {"on", train_on},
      {"trainer", train_by_trainer},
      {"wait", wait_in_vain},
      {"norm", norms},
      {"differ_frozen", differ_frozen},
  };
  for (const auto& [name, arguments] : cases) known.at(name)(*group, arguments);
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  try {
    run(read_cases({argv + 1, argv + argc}));
    return 0;
  } catch (const c10::Error& error) {
    fmt::print(stderr, "{}\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
  return 1;
}
