// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/train/trainer.hpp>

#include <array>
#include <barrier>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>

#include <mnv3/train/data/tensor_loader.hpp>
#include <mnv3/train/ema.hpp>
#include <mnv3/train/rmsprop.hpp>
#include <mnv3/train/schedule.hpp>
#include <mnv3/weights/load.hpp>

#include "../weights/files.hpp"
#include "trainer_support.hpp"

using mnv3::train::Ended;
using mnv3::train::Trainer;
using mnv3::train::TrainerOptions;
using mnv3::train::TrainingResult;

namespace {

/// One thread, as long as it lives: then results are equal to the last bit.
struct OneThread {
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before); }
  int before = at::get_num_threads();
};

TrainedNet make_net() {
  torch::manual_seed(3);
  return TrainedNet();
}

/// All that a program has that trains.
struct Program {
  explicit Program(double rate = 3e-3) : optimizer(net->parameters(), {rate}) {}

  TrainingResult fit(TrainerOptions options) {
    options.print = options.progress = false;
    Trainer trainer(net, optimizer, std::move(options), ema);
    return trainer.fit(training, validation);
  }
  mnv3::NamedTensors state() {
    mnv3::NamedTensors all = mnv3::state_dict(*net);
    for (const auto& part : {mnv3::state_dict(*ema.average(), "ema."), memory_of(optimizer)})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }
  mnv3::NamedTensors copied_state() {
    mnv3::NamedTensors all = state();
    for (auto& [name, tensor] : all) tensor = tensor.detach().clone();
    return all;
  }

  OneThread one_thread;
  TrainedNet net = make_net();
  mnv3::train::Ema<TrainedNet> ema{net, {.decay = 0.9}};
  torch::optim::AdamW optimizer;
  Pictures training{40}, validation{16};
};

bool equal(const mnv3::NamedTensors& a, const mnv3::NamedTensors& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].first != b[i].first || !torch::equal(a[i].second, b[i].second)) return false;
  return true;
}

/// What the exception says that `action` throws; empty if it throws none of that type.
template <class Error = std::exception, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TrainerOptions three_epochs(const std::filesystem::path& checkpoint = {}) {
  return {.epochs = 3,
          .schedule = [](double done) { return 1 - done; },
          .accumulate = 2,
          .clip_norm = 1.0,
          .checkpoint = checkpoint};
}

struct Lost : std::exception {};

}  // namespace

TEST_CASE("a training that was cut off and goes on ends with the same bits") {
  Program straight;
  const TrainingResult whole = straight.fit(three_epochs());
  CHECK(whole.ended == Ended::completed);
  CHECK(whole.steps == 9);  // 5 batches: 2, 2 and 1
  // The net has learnt something, and dropout has drawn something: else this would prove little.
  CHECK(whole.history[2].train_loss < whole.history[0].train_loss);

  // In the third batch of the second epoch, within a step and between two; at the begin of the third.
  for (const int lost_at : {8, 9, 11}) {
    CAPTURE(lost_at);
    const files::TemporaryFolder folder;
    TrainerOptions options = three_epochs(folder / "run.ckpt");
    options.checkpoint_steps = lost_at == 9 ? 0 : 1;
    options.checkpoint_seconds = lost_at == 9 ? 1e-9 : 0;
    {
      Program program;
      int batches = 0;
      program.training.before_batch = [&] {
        if (++batches == lost_at) throw Lost();
      };
      CHECK_THROWS_AS(program.fit(options), Lost);
    }
    Program program;
    torch::manual_seed(99);
    options.resume = true;
    const TrainingResult rest = program.fit(options);
    CHECK(equal(program.state(), straight.state()));
    CHECK(program.ema.updates() == 9);
    CHECK(rest.steps == 9);
    REQUIRE(rest.history.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(rest.history[i].train_loss == whole.history[i].train_loss);
      CHECK(rest.history[i].validation_loss == whole.history[i].validation_loss);
      CHECK(rest.history[i].accuracy == whole.history[i].accuracy);
      CHECK(rest.history[i].rate == whole.history[i].rate);
    }
    CHECK(rest.best_epoch == whole.best_epoch);
  }
}

TEST_CASE("a training may be made longer, and one that is done does nothing") {
  const files::TemporaryFolder folder;
  TrainerOptions options{.epochs = 2, .checkpoint = folder / "run.ckpt"};
  Program first;
  first.fit(options);
  options.resume = true;
  Program second;
  CHECK(second.fit(options).steps == 10);
  CHECK(equal(first.state(), second.state()));
  options.epochs = 3;
  CHECK(second.fit(options).steps == 15);
  Program straight;
  straight.fit({.epochs = 3});
  CHECK(equal(straight.state(), second.state()));
}

TEST_CASE("the checkpoint is a .pth file, and the best weights are the average's") {
  const files::TemporaryFolder folder;
  Program program;
  program.fit({.checkpoint = folder / "run.ckpt", .best = folder / "best.pth"});
  TrainedNet net, average, best;
  mnv3::load(net, folder / "run.ckpt", {.prefix = "model."});
  mnv3::load(average, folder / "run.ckpt", {.prefix = "ema."});
  mnv3::load(best, folder / "best.pth");
  CHECK(equal(mnv3::state_dict(*net), mnv3::state_dict(*program.net)));
  CHECK(equal(mnv3::state_dict(*average), mnv3::state_dict(*program.ema.average())));
  CHECK(equal(mnv3::state_dict(*best), mnv3::state_dict(*program.ema.average())));
}

TEST_CASE("other settings than the checkpoint's are named, and nothing is changed") {
  const files::TemporaryFolder folder;
  TrainerOptions options = three_epochs(folder / "run.ckpt");
  options.log = folder / "run.csv";
  Program().fit(options);
  const std::string checkpoint = files::read(folder / "run.ckpt");
  const std::string log = files::read(folder / "run.csv");

  Program program;
  program.training = Pictures(40, 4, 2);
  const mnv3::NamedTensors before = program.copied_state();
  const std::string kept = message_of([&] { program.fit(options); });
  CHECK(files::contains(kept, "run.ckpt is there, from a training before. Set `resume`"));
  options.resume = true;
  options.epochs = 2;
  const std::string message = message_of([&] { program.fit(options); });
  CHECK(files::contains(message, "run.ckpt: it is of a training with other settings"));
  CHECK(files::contains(message, "batch size: 8 in the checkpoint, 4 now"));
  CHECK(files::contains(message, "seed: 1 in the checkpoint, 2 now"));
  CHECK(files::contains(message, "batches per epoch and rank: 5 in the checkpoint, 10 now"));
  CHECK(files::contains(message, "epochs: 3 in the checkpoint, 2 now, which must not be fewer"));
  CHECK(!files::contains(message, "accumulate"));
  CHECK(equal(program.state(), before));

  options.epochs = 3;
  torch::optim::SGD sgd(program.net->parameters(), {0.1});
  options.print = options.progress = false;
  Trainer other(program.net, sgd, options, program.ema);
  program.training = Pictures(40);
  CHECK(files::contains(message_of([&] { other.fit(program.training, program.validation); }),
                        "optimizer: torch::optim::AdamW in the checkpoint, torch::optim::SGD now"));
  CHECK(equal(program.state(), before));
  CHECK(files::read(folder / "run.ckpt") == checkpoint);
  CHECK(files::read(folder / "run.csv") == log);
}

TEST_CASE("a checkpoint of another network lists what differs and changes nothing") {
  const files::TemporaryFolder folder;
  const TrainerOptions options{
      .checkpoint = folder / "run.ckpt", .resume = true, .print = false, .progress = false};
  Program().fit(options);
  const std::string checkpoint = files::read(folder / "run.ckpt");

  const auto net = std::make_shared<torch::nn::SequentialImpl>(torch::nn::Flatten(),
                                                               torch::nn::Linear(3 * 16 * 16, 4));
  torch::optim::AdamW optimizer(net->parameters(), {1e-3});
  const mnv3::NamedTensors before{{"weight", net->parameters()[0].clone()}};
  Pictures pictures(40);
  Trainer trainer(net, optimizer, options);
  const std::string message = message_of<mnv3::LoadError>([&] { trainer.fit(pictures, pictures); });
  CHECK(files::contains(message, "run.ckpt does not fit this network; nothing was loaded"));
  CHECK(files::contains(message, "2 missing: model.1.weight, model.1.bias"));
  CHECK(files::contains(message, "model.features.0.0.weight"));
  CHECK(torch::equal(net->parameters()[0], before[0].second));
  CHECK(optimizer.state().empty());
  CHECK(files::read(folder / "run.ckpt") == checkpoint);

  mnv3::save(*net, folder / "run.ckpt");  // weights alone
  CHECK(files::contains(message_of([&] { trainer.fit(pictures, pictures); }),
                        "it has weights, but not the state of a training"));
}

TEST_CASE("SIGINT and SIGTERM end the training after the step, and it goes on from there") {
  Program straight;
  straight.fit(three_epochs());
  for (const int signal : {SIGINT, SIGTERM})
    for (const bool evaluating : {false, true}) {
      CAPTURE(signal);
      CAPTURE(evaluating);
      const files::TemporaryFolder folder;
      TrainerOptions options = three_epochs(folder / "run.ckpt");
      options.resume = true;
      Program program;
      int batches = 0;
      (evaluating ? program.validation : program.training).before_batch = [&] {
        if (++batches == 3) std::raise(signal);
      };
      const auto of_doctest = std::signal(signal, SIG_DFL);
      const TrainingResult result = program.fit(options);
      CHECK((std::signal(signal, of_doctest) == SIG_DFL));
      CHECK(result.ended == Ended::signal);
      CHECK(result.exit_code() == 128 + signal);
      CHECK(result.steps == (evaluating ? 6 : 2));
      CHECK(result.history.size() == (evaluating ? 1 : 0));
      Program rest;
      CHECK(rest.fit(options).ended == Ended::completed);
      CHECK(equal(rest.state(), straight.state()));
    }
}

TEST_CASE("a loss that is NaN stops the training and leaves the last good checkpoint") {
  const files::TemporaryFolder folder;
  TrainerOptions options = three_epochs(folder / "run.ckpt");
  options.checkpoint_steps = 1;
  Program program;
  int batches = 0;
  options.loss = [&](const torch::Tensor& outputs, const mnv3::train::Batch& batch) {
    const torch::Tensor loss = torch::cross_entropy_loss(outputs, batch.labels);
    return ++batches == 8 ? loss * std::numeric_limits<double>::quiet_NaN() : loss;
  };
  const std::string message =
      message_of<mnv3::train::NotFiniteError>([&] { program.fit(options); });
  CHECK(files::contains(message,
                        "the loss is NaN in step 5 (epoch 2, batch 3), with the rate 0.00167"));
  CHECK(files::contains(
      message, "The last good checkpoint is " + (folder / "run.ckpt").string() + ", of step 4."));
  Program rest;
  options.loss = mnv3::train::detail::mean_cross_entropy;
  options.resume = true;
  CHECK(rest.fit(options).steps == 9);

  CHECK(files::contains(message_of<mnv3::train::NotFiniteError>([&] {
                          Program fresh;
                          batches = 7;
                          fresh.fit(
                              {.loss = [](const torch::Tensor& outputs, const mnv3::train::Batch&) {
                                return outputs.sum() * std::numeric_limits<double>::infinity();
                              }});
                        }),
                        "There is no checkpoint to go on from"));
}

TEST_CASE("gradients that are not finite stop the training by choice, parameters always") {
  const files::TemporaryFolder folder;
  // The loss is finite, its gradient is not: the root's slope at 0.
  int steps = 0;
  const auto loss = [&](const torch::Tensor& outputs, const mnv3::train::Batch& batch) {
    const torch::Tensor plain = torch::cross_entropy_loss(outputs, batch.labels);
    return ++steps == 5 ? plain + (outputs * 0).sum().sqrt() : plain;
  };
  TrainerOptions options{.loss = loss,
                         .check_gradients = true,
                         .checkpoint = folder / "run.ckpt",
                         .checkpoint_steps = 2};
  CHECK(files::contains(message_of<mnv3::train::NotFiniteError>([&] { Program().fit(options); }),
                        "the norm of the gradients is NaN in step 5"));
  const std::string good = files::read(folder / "run.ckpt");
  steps = 0;
  options.check_gradients = false;
  options.overwrite = true;
  const std::string message =
      message_of<mnv3::train::NotFiniteError>([&] { Program().fit(options); });
  CHECK(files::contains(message, "features.0.0.weight is not finite after step 5"));
  CHECK(files::contains(message, "run.ckpt, of step 4"));
  TrainedNet net;
  mnv3::load(net, folder / "run.ckpt", {.prefix = "model."});
  for (const torch::Tensor& parameter : net->parameters())
    CHECK(parameter.isfinite().all().item<bool>());
}

TEST_CASE("weights that are not finite are never the best ones, with a checkpoint or without") {
  const files::TemporaryFolder folder;
  int steps = 0;
  const auto loss = [&](const torch::Tensor& outputs, const mnv3::train::Batch& batch) {
    const torch::Tensor plain = torch::cross_entropy_loss(outputs, batch.labels);
    return ++steps == 10 ? plain + (outputs * 0).sum().sqrt() : plain;  // the last of epoch 2
  };
  TrainerOptions options{.epochs = 3, .loss = loss, .best = folder / "best.pth"};
  CHECK_THROWS_AS(Program().fit(options), mnv3::train::NotFiniteError);
  TrainedNet net;
  if (std::filesystem::exists(folder / "best.pth")) mnv3::load(net, folder / "best.pth");
  for (const torch::Tensor& parameter : net->parameters())
    CHECK(parameter.isfinite().all().item<bool>());
}

TEST_CASE("a training that begins anew costs no other one its log or best weights") {
  const files::TemporaryFolder folder;
  TrainerOptions options = three_epochs(folder / "run.ckpt");
  options.log = folder / "run.csv";
  options.best = folder / "best.pth";
  Program().fit(options);
  const std::string log = files::read(folder / "run.csv"), best = files::read(folder / "best.pth");
  TrainerOptions mistyped = options;
  mistyped.checkpoint = folder / "rum.ckpt";
  mistyped.resume = true;
  CHECK(files::contains(message_of<std::invalid_argument>([&] { Program().fit(mistyped); }),
                        "run.csv (`log`) is there"));
  mistyped.resume = false;
  mistyped.log.clear();
  CHECK(files::contains(message_of<std::invalid_argument>([&] { Program().fit(mistyped); }),
                        "best.pth (`best`) is there"));
  CHECK(files::read(folder / "run.csv") == log);
  CHECK(files::read(folder / "best.pth") == best);
  options.overwrite = true;
  Program().fit(options);
  CHECK(files::read(folder / "run.csv") != "");
}

TEST_CASE("a training that goes on has this program's rates, whatever the optimizer brings") {
  const files::TemporaryFolder folder;
  const auto fit = [&](double rate, bool resume) {
    torch::manual_seed(1);
    TrainedNet net;
    mnv3::train::RMSpropTF optimizer(net->parameters(), mnv3::train::RMSpropTFOptions(rate));
    Pictures pictures(32);
    double seen = 0;
    mnv3::train::Trainer trainer(
        net, optimizer,
        {.epochs = resume ? 2 : 1,
         .checkpoint = folder / "run.ckpt",
         .resume = resume,
         .print = false,
         .on_epoch_end = [&](const mnv3::train::EpochRecord& record) { seen = record.rate; }});
    trainer.fit(pictures);
    return seen;
  };
  CHECK(fit(0.01, false) == doctest::Approx(0.01));
  CHECK(fit(0.001, true) == doctest::Approx(0.001));
}

TEST_CASE("a schedule that gives no number is an error before the step") {
  Program program;
  const torch::Tensor before = program.net->parameters()[0].detach().clone();
  CHECK(files::contains(message_of<std::invalid_argument>([&] {
                          program.fit({.schedule = mnv3::train::Step{.every = 0},
                                       .schedule_unit = mnv3::train::ScheduleUnit::step});
                        }),
                        "the schedule gives"));
  CHECK(torch::equal(program.net->parameters()[0], before));
}

TEST_CASE("pictures that are dealt to other ranks than there are are refused") {
  Program program;
  mnv3::train::TensorLoader data(torch::rand({8, 3, 16, 16}), torch::zeros({8}, torch::kLong),
                                 {.batching = {.batch_size = 2, .rank = 1, .ranks = 2}});
  mnv3::train::Trainer trainer(program.net, program.optimizer, {.print = false});
  CHECK(files::contains(message_of<std::invalid_argument>([&] { trainer.fit(data); }),
                        "rank 1 of 2, but this is rank 0 of 1"));
}

TEST_CASE("a disk that is full while a checkpoint is written keeps the old one") {
  const files::TemporaryFolder folder;
  TrainerOptions options = three_epochs(folder / "run.ckpt");
  Program program;
  program.fit(options);
  const std::string before = files::read(folder / "run.ckpt");
  options.epochs = 4;
  options.resume = true;
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = 50'000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = files::error_of([&] { program.fit(options); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(message == "mnv3: cannot write " + (folder / "run.ckpt").string() + ": File too large");
  CHECK(files::read(folder / "run.ckpt") == before);
  CHECK(folder.size() == 1);
}

TEST_CASE("files that cannot be written are an error before anything is trained") {
  const files::TemporaryFolder folder;
  Program program;
  int batches = 0;
  program.training.before_batch = [&] { ++batches; };
  const auto path = folder / "nowhere" / "file";
  for (const TrainerOptions& options :
       {TrainerOptions{.checkpoint = path}, TrainerOptions{.best = path},
        TrainerOptions{.log = path}, TrainerOptions{.curves = path}})
    CHECK(files::contains(files::error_of([&] { program.fit(options); }),
                          path.string() + ": No such file or directory"));
  CHECK(batches == 0);
  CHECK(folder.size() == 0);
}

TEST_CASE("the log has a header and each epoch once, whenever the run was cut off") {
  const files::TemporaryFolder folder;
  TrainerOptions options = three_epochs(folder / "run.ckpt");
  options.log = folder / "run.csv";
  options.curves = folder / "run.svg";
  options.resume = true;
  {
    Program program;
    options.on_epoch_end = [](const mnv3::train::EpochRecord& record) {
      if (record.epoch == 2) throw Lost();
    };
    CHECK_THROWS_AS(program.fit(options), Lost);
    // As if the program had died between the line and the checkpoint.
    mnv3::train::detail::append_csv(options.log, {.epoch = 2});
  }
  options.on_epoch_end = {};
  Program program;
  const TrainingResult result = program.fit(options);
  const std::string text = files::read(options.log);
  std::string expected =
      "epoch,step,train_loss,validation_loss,accuracy,top5_accuracy,rate,images_per_second,"
      "seconds\n";
  for (const auto& record : result.history)  // the fifth accuracy is not known for four classes
    expected += fmt::format("{},{},{:.6g},{:.6g},{:.6g},,{:.6g},{:.6g},{:.6g}\n", record.epoch,
                            record.step, record.train_loss, record.validation_loss, record.accuracy,
                            record.rate, record.images_per_second, record.seconds);
  CHECK(text == expected);
  CHECK(result.history.back().epoch == 3);
  CHECK(files::contains(files::read(options.curves), "</svg>"));
}

TEST_CASE("k batches accumulated are one batch of k times the size") {
  const OneThread one_thread;
  // The truth is LibTorch's own autograd and SGD on the large batch.
  const auto make = [] {
    torch::manual_seed(1);
    torch::nn::Sequential net(torch::nn::Flatten(), torch::nn::Linear(768, 16), torch::nn::Tanh(),
                              torch::nn::Linear(16, 4));
    net->to(torch::kDouble);
    return net;
  };
  torch::nn::Sequential ours = make(), theirs = make();
  Pictures small(24, 4, 1, false), large(24, 12, 1, false);
  small.type = large.type = torch::kDouble;

  torch::optim::SGD sgd(theirs->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    large.start(epoch, 0);
    while (const auto batch = large.next()) {
      sgd.zero_grad();
      torch::cross_entropy_loss(theirs->forward(batch->pictures), batch->labels).backward();
      torch::nn::utils::clip_grad_norm_(theirs->parameters(), 0.5);
      sgd.step();
    }
  }

  torch::optim::SGD optimizer(ours->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  Trainer trainer(
      ours, optimizer,
      {.epochs = 2, .accumulate = 3, .clip_norm = 0.5, .print = false, .progress = false});
  CHECK(trainer.fit(small).steps == 4);
  for (std::size_t i = 0; i < ours->parameters().size(); ++i)
    CHECK(torch::allclose(ours->parameters()[i], theirs->parameters()[i], 1e-12, 1e-14));
}

TEST_CASE("schedules multiply each group's own rate, in their unit, and leave it as it was") {
  Program program;
  using Options = torch::optim::AdamWOptions;
  const auto parameters = program.net->parameters();
  torch::optim::AdamW optimizer(
      {torch::optim::OptimizerParamGroup({parameters[0]}, std::make_unique<Options>(0.5)),
       torch::optim::OptimizerParamGroup({parameters[1]}, std::make_unique<Options>(0.1))});
  using enum mnv3::train::ScheduleUnit;
  const std::array<std::pair<mnv3::train::ScheduleUnit, double>, 3> last{
      {{training, 0.9}, {epoch, 1.8}, {step, 9.0}}};
  for (const auto& [unit, position] : last) {
    std::vector<double> positions;
    std::array<double, 2> rates{};
    const auto schedule = [&](double at) {
      positions.push_back(at);
      return at + 1;
    };
    Trainer trainer(program.net, optimizer,
                    {.epochs = 2,
                     .schedule = schedule,
                     .schedule_unit = unit,
                     .print = false,
                     .progress = false,
                     .on_epoch_end = [&](const auto&) {
                       for (std::size_t i = 0; i < 2; ++i)
                         rates[i] = optimizer.param_groups()[i].options().get_lr();
                     }});
    trainer.fit(program.training);
    CHECK(positions.size() == 10);
    CHECK(positions.front() == 0);
    CHECK(positions.back() == doctest::Approx(position));
    CHECK(rates[0] == doctest::Approx(0.5 * (position + 1)));
    CHECK(rates[1] == doctest::Approx(0.1 * (position + 1)));
    CHECK(optimizer.param_groups()[0].options().get_lr() == 0.5);
    CHECK(optimizer.param_groups()[1].options().get_lr() == 0.1);
  }
}

TEST_CASE("a training stops when epochs bring nothing, and keeps the best weights") {
  const files::TemporaryFolder folder;
  Program program;
  std::size_t epochs = 0;
  mnv3::NamedTensors best;
  // The loss in validation is 3, 2, 4, 4, ...; the accuracy does not matter.
  TrainerOptions options{.epochs = 9,
                         .validation_loss =
                             [&](const torch::Tensor& outputs, const mnv3::train::Batch&) {
                               const std::array losses{3.0, 2.0};
                               return torch::full_like(outputs[0][0],
                                                       epochs < 2 ? losses[epochs] : 4.0);
                             },
                         .metric = mnv3::train::Metric::loss,
                         .patience = 2,
                         .checkpoint = folder / "run.ckpt",
                         .resume = true,
                         .best = folder / "best.pth",
                         .on_epoch_end =
                             [&](const mnv3::train::EpochRecord& record) {
                               if (++epochs == 2) best = program.copied_state();
                               CHECK(record.epoch == static_cast<std::int64_t>(epochs));
                             }};
  const TrainingResult result = program.fit(options);
  CHECK(result.ended == Ended::early);
  CHECK(result.best_epoch == 2);
  CHECK(result.history.size() == 4);
  TrainedNet net;
  mnv3::load(net, folder / "best.pth");
  for (const auto& [name, tensor] : mnv3::state_dict(*net, "ema."))
    for (const auto& [best_name, best_tensor] : best)
      if (name == best_name) CHECK(torch::equal(tensor, best_tensor));
  CHECK(Program().fit(options).ended == Ended::early);  // at once
  CHECK(epochs == 4);
}

TEST_CASE("what is frozen stays, also when it was trained before") {
  Program program;
  torch::Tensor weight = program.net->parameters()[0];
  std::vector<torch::Tensor> after_epochs;
  program.fit({.epochs = 3, .on_epoch_begin = [&](std::int64_t epoch) {
                 after_epochs.push_back(weight.detach().clone());
                 weight.requires_grad_(epoch != 1);
               }});
  after_epochs.push_back(weight.detach().clone());
  CHECK(!torch::equal(after_epochs[0], after_epochs[1]));
  CHECK(torch::equal(after_epochs[1], after_epochs[2]));  // weight decay and momentum included
  CHECK(!torch::equal(after_epochs[2], after_epochs[3]));
}

TEST_CASE("evaluation counts as a loop over the pictures does") {
  const OneThread one_thread;
  torch::manual_seed(2);
  torch::nn::Sequential net(torch::nn::Flatten(), torch::nn::Linear(768, 8));
  Pictures pictures(50, 7, 1, false);
  const mnv3::train::Evaluation found = mnv3::train::evaluate(net, pictures);

  const torch::NoGradGuard no_grad;
  std::int64_t count = 0, right = 0, in_five = 0;
  std::array<std::array<std::int64_t, 8>, 8> confusion{};
  double loss = 0;
  pictures.start(0, 0);
  while (const auto batch = pictures.next())
    for (std::int64_t i = 0; i < batch->size(); ++i) {
      const torch::Tensor logits = net->forward(batch->pictures.narrow(0, i, 1))[0];
      const auto truth = batch->labels[i].item<std::int64_t>();
      const auto logit = [&](std::int64_t k) { return logits[k].item<double>(); };
      std::int64_t guess = 0, better = 0;
      double sum = 0;
      for (std::int64_t k = 0; k < 8; ++k) {
        if (logit(k) > logit(guess)) guess = k;
        better += logit(k) > logit(truth);
        sum += std::exp(logit(k));
      }
      loss += std::log(sum) - logit(truth);
      ++confusion[static_cast<std::size_t>(truth)][static_cast<std::size_t>(guess)];
      right += truth == guess;
      in_five += better < 5;
      ++count;
    }
  CHECK(found.count == count);
  CHECK(found.accuracy == static_cast<double>(right) / static_cast<double>(count));
  CHECK(found.top5_accuracy == static_cast<double>(in_five) / static_cast<double>(count));
  CHECK(found.accuracy < found.top5_accuracy);
  CHECK(found.top5_accuracy < 1);
  CHECK(found.loss == doctest::Approx(loss / static_cast<double>(count)).epsilon(1e-5));
  for (std::int64_t t = 0; t < 8; ++t)
    for (std::int64_t p = 0; p < 8; ++p)
      CHECK(found.confusion[t][p].item<std::int64_t>() ==
            confusion[static_cast<std::size_t>(t)][static_cast<std::size_t>(p)]);

  torch::nn::Sequential small(torch::nn::Flatten(), torch::nn::Linear(768, 3));
  CHECK(files::contains(message_of([&] { mnv3::train::evaluate(small, pictures); }),
                        "but labels go from 0 to 2"));
}

TEST_CASE("evaluation leaves each module in the mode that it had") {
  TrainedNet net;
  Pictures pictures(8);
  net->train();
  net->features->eval();
  const mnv3::train::Evaluation found = mnv3::train::evaluate(net, pictures);
  CHECK(std::isnan(found.top5_accuracy));  // of four classes
  CHECK(net->is_training());
  CHECK(!net->features->is_training());
  CHECK(net->classifier->is_training());
}

namespace {

/// Two threads as a group of two ranks.
class Pair : public mnv3::train::Group {
 public:
  struct Shared {
    std::barrier<> meeting{2};
    std::array<torch::Tensor, 2> given;
  };
  Pair(Shared& shared, int rank) : shared_(shared), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return 2; }
  void all_reduce(torch::Tensor& tensor) override { meet(tensor, true); }
  void broadcast(torch::Tensor& tensor) override { meet(tensor, false); }
  void barrier() override { shared_.meeting.arrive_and_wait(); }
  void attach(torch::nn::Module& module) override {
    ++attached;
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : mnv3::state_dict(module)) broadcast(tensor);
  }
  void prepare_for_backward(const std::vector<torch::Tensor>&, bool synchronize) override {
    synchronized.push_back(synchronize);
  }

  int attached = 0;
  std::vector<bool> synchronized;

 private:
  void meet(torch::Tensor& tensor, bool sum) {
    shared_.given[static_cast<std::size_t>(rank_)] = tensor.detach().clone();
    barrier();
    tensor.copy_(sum ? shared_.given[0] + shared_.given[1] : shared_.given[0]);
    barrier();
  }

  Shared& shared_;
  int rank_;
};

/// Runs this on both ranks, and gives what each of them throws.
template <class Action>
std::array<std::string, 2> on_two_ranks(Action action) {
  Pair::Shared shared;
  std::array<std::string, 2> messages;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      Pair group(shared, rank);
      messages[static_cast<std::size_t>(rank)] = message_of([&] { action(group); });
    });
  for (std::thread& thread : threads) thread.join();
  return messages;
}

}  // namespace

TEST_CASE("two ranks sum what they measure, decide alike, and one of them writes") {
  const files::TemporaryFolder folder;
  std::array<TrainingResult, 2> results;
  std::array<std::optional<Program>, 2> programs;
  for (auto& program : programs) program.emplace();
  programs[1]->training = Pictures(40, 8, 2, false);
  programs[0]->training = Pictures(40, 8, 1, false);
  programs[1]->validation = Pictures(8, 8, 1, false);
  const auto messages = on_two_ranks([&](Pair& group) {
    const auto rank = static_cast<std::size_t>(group.rank());
    Program& program = *programs[rank];
    torch::Tensor weight = program.net->parameters()[0];
    TrainerOptions options{
        .epochs = 2,
        .accumulate = 2,
        .checkpoint = folder / "run.ckpt",
        .log = folder / "run.csv",
        .on_epoch_begin = [&](std::int64_t epoch) { weight.requires_grad_(epoch > 0); },
        .handle_signals = false,
        .group = &group};
    results[rank] = program.fit(options);
    CHECK(group.attached == 2);  // at the start, and when the first weight becomes trainable
    CHECK(group.synchronized == std::vector{false, true, false, true, true,  // 2, 2 and 1 batches
                                            false, true, false, true, true});
  });
  REQUIRE(messages[0] == "");
  REQUIRE(messages[1] == "");
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(results[i].evaluation.count == 24);
    CHECK(results[0].history[i].train_loss == results[1].history[i].train_loss);
    CHECK(results[0].history[i].accuracy == results[1].history[i].accuracy);
  }
  CHECK(folder.size() == 2);
  const mnv3::CheckpointReader reader(folder / "run.ckpt");
  for (const auto& entry : reader.entries())
    if (entry.name == "random.cpu") CHECK(entry.shape.at(0) == 2);
}

TEST_CASE("what goes wrong on one rank stops both") {
  const auto nan_on = [](int bad) {
    return [bad](Pair& group) {
      Program program;
      const bool is_bad = group.rank() == bad;
      program.fit({.loss =
                       [is_bad](const torch::Tensor& outputs, const mnv3::train::Batch& batch) {
                         const torch::Tensor loss =
                             torch::cross_entropy_loss(outputs, batch.labels);
                         return is_bad ? loss * std::nan("") : loss;
                       },
                   .handle_signals = false,
                   .group = &group});
    };
  };
  for (const int bad : {0, 1})
    for (const std::string& message : on_two_ranks(nan_on(bad)))
      CHECK(files::contains(message, "the loss is NaN in step 1"));
  const auto messages = on_two_ranks([](Pair& group) {
    Program().fit({.checkpoint = "/nowhere/run.ckpt", .handle_signals = false, .group = &group});
  });
  CHECK(files::contains(messages[0], "/nowhere/run.ckpt: No such file or directory"));
  CHECK(messages[1] == "mnv3: rank 0 could not write its files, and its own message says why");
}

TEST_CASE("ranks that have not the same number of batches are told so") {
  for (const std::string& message : on_two_ranks([](Pair& group) {
         Program program;
         program.training = Pictures(group.rank() == 0 ? 40 : 48);
         program.fit({.handle_signals = false, .group = &group});
       }))
    CHECK(files::contains(message, "and on average they have 5.50. Share the pictures out evenly"));
}

TEST_CASE("autocast computes in bfloat16, in training and in evaluation") {
  Program program;
  std::vector<torch::Dtype> types;
  const auto note = [&](const torch::Tensor& outputs, const mnv3::train::Batch& batch) {
    types.push_back(outputs.scalar_type());
    return torch::cross_entropy_loss(outputs, batch.labels);
  };
  program.fit({.loss = note, .autocast = true, .validation_loss = note});
  CHECK((types == std::vector<torch::Dtype>(5 + 2, torch::kBFloat16)));
  CHECK((program.net->parameters()[0].scalar_type() == torch::kFloat));
  CHECK((program.net->forward(torch::rand({1, 3, 16, 16})).scalar_type() == torch::kFloat));
}

TEST_CASE("curves have a point for each epoch that was measured") {
  mnv3::train::History history;
  for (std::int64_t epoch = 1; epoch <= 12; ++epoch)
    history.push_back({.epoch = epoch, .train_loss = 2.0 / static_cast<double>(epoch)});
  history[3].train_loss = mnv3::train::EpochRecord::none;
  history[5].accuracy = 0.5;
  const std::string svg = mnv3::train::curves_svg(history);
  const auto count = [&](std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = svg.find(part); at != svg.npos; at = svg.find(part, at + 1)) ++found;
    return found;
  };
  CHECK(count("<circle") == 11 + 1);
  CHECK(count("<polyline") == 2);
  CHECK(count(">training<") == 1);
  CHECK(count(">validation<") == 1);
  CHECK(count(">first five<") == 0);
  CHECK(count("nan") == 0);
  CHECK(count(">epoch<") == 2);
  CHECK(!files::contains(mnv3::train::curves_svg({}), "nan"));
}

TEST_CASE("the bar has the width of the terminal at most, and tells the time that is left") {
  using mnv3::train::detail::bar_line;
  CHECK(bar_line("epoch 1/3", 0.5, 1234, 75, 70) ==
        "epoch 1/3  [============            ]   50 %  1234 images/s  1:15 left");
  CHECK(bar_line("epoch 1/3", 0.5, 1234, 3675, 50) ==
        "epoch 1/3   50 %  1234 images/s  1:01:15 left");
  CHECK(bar_line("epoch 1/3", 2, 1234, -5, 20) == "epoch 1/3  100 %  12");
}

TEST_CASE("options that make no sense are refused with what is allowed") {
  Program program;
  const auto refused = [&](TrainerOptions options) {
    return message_of<std::invalid_argument>([&] { program.fit(std::move(options)); });
  };
  CHECK(refused({.epochs = -1}) == "mnv3: a training needs 0 epochs or more, not -1");
  CHECK(refused({.accumulate = 0}) == "mnv3: a training needs {.accumulate} of 1 or more, not 0");
  CHECK(refused({.clip_norm = 0}) == "mnv3: a training needs {.clip_norm} above 0, not 0");
  CHECK(files::contains(refused({.patience = -1}), "{.patience} of 0"));
  CHECK(files::contains(refused({.resume = true}), "{.checkpoint}, the file that"));
  program.training = Pictures(0);
  CHECK(files::contains(refused({}), "batches: its source has none"));
}
