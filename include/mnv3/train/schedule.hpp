// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numbers>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/optim/optimizer.h>

namespace mnv3::train {

// Schedules are pure functions: the step, or the epoch, goes in, and out comes what the base rate
// is multiplied by. They know no unit: `every`, `length` and `warm_up` are in whatever they are
// called with, fractions included. So nothing has to be saved to go on after a restart but the
// step.

/// A linear rise from `start` to 1 within `length`, before the schedule that has it, which begins
/// only then.
/// Source  torch 1.13.1 optim/lr_scheduler.py `LinearLR`, `SequentialLR`.
struct WarmUp {
  double length = 0;
  double start = 0.01;

  bool covers(double step) const { return step < length; }
  double operator()(double step) const {
    return start + (1 - start) * std::max(step, 0.0) / length;
  }
};

/// Always 1.
struct Constant {
  WarmUp warm_up{};

  double operator()(double step) const { return warm_up.covers(step) ? warm_up(step) : 1; }
};

/// Half a cosine from 1 to `final`, where it stays. The end is at `length`, warm-up included.
///
///     mnv3::train::Cosine{.length = 100, .warm_up = {.length = 5}}
///
/// Source  torch 1.13.1 optim/lr_scheduler.py `CosineAnnealingLR`, which would rise again.
struct Cosine {
  double length;
  double final = 0;
  WarmUp warm_up{};

  double operator()(double step) const {
    if (warm_up.covers(step)) return warm_up(step);
    if (step >= length) return final;
    const double progress = (step - warm_up.length) / (length - warm_up.length);
    return final + (1 - final) * (1 + std::cos(progress * std::numbers::pi)) / 2;
  }
};

/// Times `gamma` at once after every `every`: torchvision's recipe for MobileNetV3 has
/// {.every = 2, .gamma = 0.973} in epochs.
/// Source  torch 1.13.1 optim/lr_scheduler.py `StepLR`.
struct Step {
  double every;
  double gamma = 0.1;
  WarmUp warm_up{};

  double operator()(double step) const {
    return warm_up.covers(step) ? warm_up(step)
                                : std::pow(gamma, std::floor((step - warm_up.length) / every));
  }
};

/// Times `gamma` within every `every`, little by little: MobileNetV3's paper has
/// {.gamma = 0.99, .every = 3} in epochs ("learning rate decay rate of 0.01 every 3 epochs").
/// Source  torch 1.13.1 optim/lr_scheduler.py `ExponentialLR`; arXiv:1905.02244, 6.1.1.
struct Exponential {
  double gamma;
  double every = 1;
  WarmUp warm_up{};

  double operator()(double step) const {
    return warm_up.covers(step) ? warm_up(step) : std::pow(gamma, (step - warm_up.length) / every);
  }
};

/// An optimizer whose rates follow a schedule. Each group has a base rate of its own, the one that
/// it has when this is made; `set` gives it that one times the schedule's value.
///
/// Make it before the optimizer's saved state is loaded: from LibTorch 2.1 on that brings the rates
/// of when it was saved. The step is all that must be saved; `set(step)` does the rest. A group
/// that is added to the optimizer afterwards has the rate that it came with as its base.
///
///     mnv3::train::ScheduledRate rate(optimizer, mnv3::train::Cosine{.length = 100});
///     rate.set(epoch + batch / batches);       // before each step
class ScheduledRate {
 public:
  /// @param optimizer  Must outlive this.
  /// Errors  std::invalid_argument if there is no schedule.
  ScheduledRate(torch::optim::Optimizer& optimizer, std::function<double(double)> schedule)
      : optimizer_(&optimizer), schedule_(std::move(schedule)) {
    if (!schedule_)
      throw std::invalid_argument(
          "mnv3: a rate was to follow an empty schedule; give it one such as "
          "mnv3::train::Cosine{.length = epochs}");
    remember_new_groups();
  }

  /// Sets all rates. Returns the schedule's value.
  ///
  /// Errors  std::invalid_argument, and no rate has changed, if that is not finite or is negative.
  double set(double step) {
    const double factor = schedule_(step);
    if (!std::isfinite(factor) || factor < 0)
      throw std::invalid_argument(fmt::format(
          "mnv3: at step {} the schedule gives {}, but rates are multiplied by finite numbers from "
          "0 on; are its lengths above 0, and the warm-up shorter than the whole?",
          step, factor));
    remember_new_groups();
    for (std::size_t i = 0; i < base_.size(); ++i)
      optimizer_->param_groups()[i].options().set_lr(base_[i] * factor);
    return factor;
  }

  /// The rate of each group where the schedule is 1.
  const std::vector<double>& base() const { return base_; }

 private:
  void remember_new_groups() {
    const auto& groups = optimizer_->param_groups();
    for (std::size_t i = base_.size(); i < groups.size(); ++i)
      base_.push_back(groups[i].options().get_lr());
  }

  torch::optim::Optimizer* optimizer_;
  std::function<double(double)> schedule_;
  std::vector<double> base_;
};

}  // namespace mnv3::train
