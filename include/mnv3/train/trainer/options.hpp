// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include <mnv3/train/data/batch.hpp>
#include <mnv3/train/group.hpp>
#include <mnv3/train/trainer/evaluate.hpp>
#include <mnv3/train/trainer/history.hpp>

namespace mnv3::train {

/// What is best: the highest accuracy on the validation pictures or the lowest loss there. Without
/// validation pictures it is the lowest loss in training either way.
enum class Metric { accuracy, loss };

/// What a schedule counts in, fractions included.
enum class ScheduleUnit {
  training,  ///< From 0 to 1, which the end of the last epoch is: with more epochs it is later.
  epoch,
  step,
};

/// How a `Trainer` trains. Whatever is not given is not done.
struct TrainerOptions {
  std::int64_t epochs = 1;  ///< In all, those before a resume included.

  // The step.
  Loss loss = detail::mean_cross_entropy;
  /// What every group's rate is multiplied by, from where the training is in units of
  /// `schedule_unit`: mnv3::train::Cosine, or any function.
  std::function<double(double position)> schedule{};
  ScheduleUnit schedule_unit = ScheduleUnit::training;
  /// How many batches the gradients of one step are the mean of. What remains at an epoch's end
  /// makes a step of its own.
  std::int64_t accumulate = 1;
  std::optional<double> clip_norm{};  ///< The 2-norm of all gradients, at most.
  bool check_gradients = false;       ///< Stop where a gradient is infinite or NaN, too.
  bool autocast = false;              ///< Compute in bfloat16 where that is safe.

  // After each epoch.
  Loss validation_loss = detail::mean_cross_entropy;
  Metric metric = Metric::accuracy;
  std::int64_t patience = 0;  ///< Stop after so many epochs without a better metric; 0: never.

  // Files. An empty path: no file.
  /// All that is needed to go on: written after each epoch, and when a signal ends the training.
  std::filesystem::path checkpoint{};
  std::int64_t checkpoint_steps = 0;  ///< Written after every so many steps, too.
  double checkpoint_seconds = 0;      ///< And when it has become so many seconds old.
  /// Go on from `checkpoint`, if it is there. Network, pictures, ranks, optimizer, device,
  /// `accumulate` and what is best must be those of the checkpoint. `epochs` may be more; to make a
  /// training longer, count the schedule in epochs. Rates, schedules and losses are this program's.
  bool resume = false;
  bool overwrite = false;          ///< Begin anew although `checkpoint` is there.
  std::filesystem::path best{};    ///< The best epoch's weights, as `mnv3::save` writes them.
  std::filesystem::path log{};     ///< A CSV file with a line for each epoch.
  std::filesystem::path curves{};  ///< An SVG picture of losses and accuracies.

  // What is seen, all of it on rank 0 only.
  bool print = true;     ///< A line for each epoch on standard output.
  bool progress = true;  ///< A bar on standard error, if that is a terminal.

  /// Called before each epoch, with its number from 0 on: the place to unfreeze stages. When a
  /// training goes on, it is called only for the epoch that goes on, after the checkpoint has been
  /// read: what it sets must follow from the number alone. The optimizer has all its groups from the
  /// start, as `param_groups` gives them, also of what is frozen.
  std::function<void(std::int64_t epoch)> on_epoch_begin{};
  /// Called after each epoch's evaluation and before its checkpoint.
  std::function<void(const EpochRecord& record)> on_epoch_end{};

  /// Finish the step, write the checkpoint and return when SIGINT or SIGTERM comes; end at once
  /// with the second.
  bool handle_signals = true;
  /// The processes that train together; null: this one alone. All of them give the same options,
  /// names of files included.
  Group* group = nullptr;
};

/// Why a training ended.
enum class Ended {
  completed,  ///< All epochs are done.
  early,      ///< `patience` epochs were no better than the best one.
  signal,     ///< SIGINT or SIGTERM; the checkpoint has everything up to the last step.
};

/// What a training came to.
struct TrainingResult {
  Ended ended = Ended::completed;
  int signal = 0;               ///< SIGINT or SIGTERM, if that is why it ended.
  History history{};            ///< Of all epochs, those before a resume included.
  std::int64_t best_epoch = 0;  ///< As `EpochRecord::epoch`; 0 if there is none.
  std::int64_t steps = 0;       ///< That the optimizer has done, in all.
  Evaluation evaluation{};      ///< Of the last epoch that this call has evaluated.

  /// What a program may return from `main`: 0, or what shells expect after a signal (130 or 143).
  int exit_code() const { return ended == Ended::signal ? 128 + signal : 0; }
};

}  // namespace mnv3::train
