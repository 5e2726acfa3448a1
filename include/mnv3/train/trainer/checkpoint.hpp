// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <c10/util/Type.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize.h>
#include <torch/types.h>

#include <mnv3/train/trainer/history.hpp>
#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/checkpoint_reader.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/load.hpp>
#include <mnv3/weights/rename.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/torch_errors.hpp>

// The state of a training as the tensors of a file:
//
// - "model." and "ema.": the state dicts.
// - "optimizer": what `torch::save` writes of it, as bytes.
// - "random.cpu", and "random.cuda" where it is used: the state of each rank's generator, (ranks,
//   bytes).
// - "progress.": where the training is.
// - "history.": a column each, (epochs).
// - "settings": lines "name = value": what must be the same when training goes on.

namespace mnv3::train::detail {

/// Where a training is.
struct Progress {
  std::int64_t epochs = 0;  ///< How many are to be done in all.
  std::int64_t epoch = 0;   ///< From 0 on: the one that runs, or would run next.
  std::int64_t batch = 0;   ///< How many batches of it are done, on each rank.
  std::int64_t step = 0;    ///< How many steps the optimizer has done.
  std::int64_t ema_updates = 0;
  std::int64_t best_epoch = 0;
  double best_metric = std::numeric_limits<double>::quiet_NaN();
  // Of the epoch that runs, on all ranks together.
  double loss_sum = 0;
  std::int64_t images = 0;
  double seconds = 0;
  History history{};
};

/// What a run is started with, by name.
using Settings = std::vector<std::pair<std::string, std::string>>;

inline torch::Tensor to_bytes(std::string_view text) {
  torch::Tensor bytes = torch::empty({static_cast<std::int64_t>(text.size())}, torch::kByte);
  std::copy(text.begin(), text.end(), bytes.data_ptr<std::uint8_t>());
  return bytes;
}
inline std::string to_text(const torch::Tensor& bytes) {
  const auto* const first = bytes.data_ptr<std::uint8_t>();
  return {first, first + bytes.numel()};
}

inline torch::Tensor optimizer_bytes(const torch::optim::Optimizer& optimizer) {
  std::ostringstream stream;
  torch::save(optimizer, stream);
  return to_bytes(stream.str());
}
inline void load_optimizer(torch::optim::Optimizer& optimizer, const torch::Tensor& bytes,
                           torch::Device device) {
  std::istringstream stream(to_text(bytes));
  torch::load(optimizer, stream, device);
}

/// The state of LibTorch's own generator for a device.
inline torch::Tensor random_state(torch::Device device) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}
inline void set_random_state(torch::Device device, const torch::Tensor& state) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state.clone());
}

/// What the optimizer is, and how many parameters each of its groups has.
inline void add_optimizer(Settings& settings, const torch::optim::Optimizer& optimizer) {
  std::vector<std::size_t> sizes;
  for (const auto& group : optimizer.param_groups()) sizes.push_back(group.params().size());
  settings.emplace_back("optimizer", c10::demangle(typeid(optimizer).name()));
  settings.emplace_back("parameters in its groups", fmt::format("{}", fmt::join(sizes, ", ")));
}

inline std::string to_text(const Settings& settings) {
  std::string text;
  for (const auto& [name, value] : settings) text += fmt::format("{} = {}\n", name, value);
  return text;
}

/// The lines of what differs; empty if nothing does.
inline std::string differences(std::string_view file_text, const Settings& now) {
  std::map<std::string, std::string> before;
  std::istringstream lines{std::string(file_text)};
  for (std::string line; std::getline(lines, line);)
    if (const std::size_t sign = line.find(" = "); sign != line.npos)
      before[line.substr(0, sign)] = line.substr(sign + 3);
  std::string text;
  for (const auto& [name, value] : now) {
    const auto found = before.find(name);
    const std::string was = found == before.end() ? "not given" : found->second;
    if (was != value) text += fmt::format("\n  {}: {} in the checkpoint, {} now", name, was, value);
    if (found != before.end()) before.erase(found);
  }
  for (const auto& [name, value] : before)
    text += fmt::format("\n  {}: {} in the checkpoint, not given now", name, value);
  return text;
}

inline void add_prefixed(NamedTensors& tensors, std::string_view prefix,
                         const NamedTensors& added) {
  for (const auto& [name, tensor] : added)
    tensors.emplace_back(fmt::format("{}{}", prefix, name), tensor);
}

inline NamedTensors to_tensors(const Progress& progress) {
  const auto integer = [](std::int64_t value) { return torch::tensor(value, torch::kLong); };
  const auto real = [](double value) { return torch::tensor(value, torch::kDouble); };
  NamedTensors tensors{
      {"progress.epochs", integer(progress.epochs)},
      {"progress.epoch", integer(progress.epoch)},
      {"progress.batch", integer(progress.batch)},
      {"progress.step", integer(progress.step)},
      {"progress.ema_updates", integer(progress.ema_updates)},
      {"progress.best_epoch", integer(progress.best_epoch)},
      {"progress.best_metric", real(progress.best_metric)},
      {"progress.loss_sum", real(progress.loss_sum)},
      {"progress.images", integer(progress.images)},
      {"progress.seconds", real(progress.seconds)},
  };
  std::vector<std::int64_t> epochs, steps;
  for (const EpochRecord& record : progress.history) {
    epochs.push_back(record.epoch);
    steps.push_back(record.step);
  }
  tensors.emplace_back("history.epoch", torch::tensor(epochs, torch::kLong));
  tensors.emplace_back("history.step", torch::tensor(steps, torch::kLong));
  for (const auto& [name, member] : history_columns) {
    std::vector<double> column;
    for (const EpochRecord& record : progress.history) column.push_back(record.*member);
    tensors.emplace_back(fmt::format("history.{}", name), torch::tensor(column, torch::kDouble));
  }
  return tensors;
}

/// A checkpoint that has been read, but for the values of its networks.
class TrainingFile {
 public:
  /// @param bytes  The file's, which must outlive this.
  /// Errors  WeightsError if it is none that a `Trainer` wrote.
  TrainingFile(std::span<const std::byte> bytes, const std::filesystem::path& path)
      : reader_(bytes, path.string()) {
    for (const TensorEntry& entry : reader_.entries())
      if (!is_network(entry.name)) fields_[entry.name] = reader_.read(entry);
    if (!fields_.contains("progress.step"))
      throw WeightsError(fmt::format(
          "mnv3: cannot go on from {}: it has weights, but not the state of a training. "
          "Load them with mnv3::load and start a training with another checkpoint",
          path.string()));
  }

  const torch::Tensor& operator[](std::string_view name) const {
    const auto found = fields_.find(name);
    if (found == fields_.end())
      throw WeightsError(
          fmt::format("mnv3: cannot go on from {}: it lacks '{}'", reader_.path().string(), name));
    return found->second;
  }
  bool has(std::string_view name) const { return fields_.contains(name); }

  Progress progress() const {
    const auto integer = [&](std::string_view name) { return (*this)[name].item<std::int64_t>(); };
    const auto real = [&](std::string_view name) { return (*this)[name].item<double>(); };
    Progress progress{.epochs = integer("progress.epochs"),
                      .epoch = integer("progress.epoch"),
                      .batch = integer("progress.batch"),
                      .step = integer("progress.step"),
                      .ema_updates = integer("progress.ema_updates"),
                      .best_epoch = integer("progress.best_epoch"),
                      .best_metric = real("progress.best_metric"),
                      .loss_sum = real("progress.loss_sum"),
                      .images = integer("progress.images"),
                      .seconds = real("progress.seconds")};
    const torch::Tensor &epochs = (*this)["history.epoch"], &steps = (*this)["history.step"];
    for (std::int64_t i = 0; i < epochs.numel(); ++i) {
      EpochRecord record{.epoch = epochs[i].item<std::int64_t>(),
                         .step = steps[i].item<std::int64_t>()};
      for (const auto& [name, member] : history_columns)
        record.*member = (*this)[fmt::format("history.{}", name)][i].item<double>();
      progress.history.push_back(record);
    }
    return progress;
  }

  /// Reads the networks' values.
  ///
  /// @param targets  Named as in the file.
  /// Errors  LoadError that lists what differs; no target is changed then.
  void read_networks(const NamedTensors& targets) const {
    const Rename networks_only(
        [](std::string_view name) { return is_network(name) ? std::string(name) : std::string(); });
    weights::load_into({.tensors = targets}, reader_, {.prefix = "", .rename = networks_only});
  }

 private:
  static bool is_network(std::string_view name) {
    return name.starts_with("model.") || name.starts_with("ema.");
  }

  CheckpointReader reader_;
  std::map<std::string, torch::Tensor, std::less<>> fields_;
};

/// The whole file.
///
/// Errors  WeightsError with its name and the system's reason.
inline torch::Tensor read_bytes(const std::filesystem::path& path) {
  return weights::name_file_in_torch_errors("read", path, [&] {
    const weights::InputFile file(path);
    torch::Tensor bytes = torch::empty({static_cast<std::int64_t>(file.size())}, torch::kByte);
    file.read(0, bytes.data_ptr(), static_cast<std::size_t>(file.size()));
    return bytes;
  });
}

}  // namespace mnv3::train::detail
