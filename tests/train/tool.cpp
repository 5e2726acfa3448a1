// SPDX-License-Identifier: MIT

// Trains a small network, for tests that kill it: tool FINAL name=value...
//
// Prints "started" when it trains and the way it ended. FINAL gets network, average and what the
// optimizer remembers.

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <thread>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <mnv3/train/ema.hpp>
#include <mnv3/train/trainer.hpp>
#include <mnv3/weights/tensors/pth_writer.hpp>

#include "../unit/train/trainer_support.hpp"

namespace {

int run(const std::string& final_path, const std::map<std::string, std::string>& values) {
  const auto text = [&](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string() : found->second;
  };
  const auto number = [&](const std::string& name, std::int64_t otherwise) {
    return values.contains(name) ? std::stoll(values.at(name)) : otherwise;
  };
  at::set_num_threads(1);
  torch::manual_seed(3);
  TrainedNet net;
  mnv3::train::Ema ema(net, {.decay = 0.9});
  torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(3e-3));
  Pictures training(number("pictures", 32), 8), validation(16, 8);

  const std::int64_t kill_at = number("kill_at", -1);
  std::int64_t batches = 0;
  training.before_batch = [&] {
    if (batches++ == 0) {
      fmt::print("started\n");
      std::fflush(stdout);
    }
    if (batches == kill_at) std::raise(SIGKILL);
    if (values.contains("slow")) std::this_thread::sleep_for(std::chrono::seconds(20));
  };
  mnv3::train::Trainer trainer(net, optimizer,
                               {.epochs = number("epochs", 3),
                                .schedule = [](double done) { return 1 - done; },
                                .accumulate = number("accumulate", 1),
                                .clip_norm = 1.0,
                                .checkpoint = text("checkpoint"),
                                .checkpoint_steps = number("checkpoint_steps", 0),
                                .resume = number("resume", 0) != 0,
                                .best = text("best"),
                                .log = text("log"),
                                .curves = text("curves"),
                                .print = false},
                               ema);
  const mnv3::train::TrainingResult result = trainer.fit(training, validation);
  mnv3::NamedTensors tensors = memory_of(optimizer);
  for (const auto& [name, tensor] : mnv3::state_dict(*net))
    tensors.emplace_back("model." + name, tensor);
  for (const auto& [name, tensor] : mnv3::state_dict(*ema.average()))
    tensors.emplace_back("ema." + name, tensor);
  mnv3::write_pth(final_path, tensors);
  fmt::print("ended {} steps\n", result.steps);
  return result.exit_code();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::map<std::string, std::string> values;
    for (int i = 2; i < argc; ++i) {
      const std::string word = argv[i];
      values[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    }
    return run(argc > 1 ? argv[1] : "final.pth", values);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
