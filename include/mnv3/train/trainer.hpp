// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include <mnv3/train/autocast.hpp>
#include <mnv3/train/data/batch.hpp>
#include <mnv3/train/group.hpp>
#include <mnv3/train/schedule.hpp>
#include <mnv3/train/trainer/checkpoint.hpp>
#include <mnv3/train/trainer/curves.hpp>
#include <mnv3/train/trainer/evaluate.hpp>
#include <mnv3/train/trainer/history.hpp>
#include <mnv3/train/trainer/options.hpp>
#include <mnv3/train/trainer/progress.hpp>
#include <mnv3/train/trainer/signals.hpp>
#include <mnv3/weights/bytes/atomic_file.hpp>
#include <mnv3/weights/bytes/name_file.hpp>
#include <mnv3/weights/save.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/pth_writer.hpp>

namespace mnv3::train {

/// A loss, gradient or parameter became infinite or NaN. `what()` names the step, the rate and the
/// last checkpoint, which is from before.
class NotFiniteError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Stands where a network has no moving average.
struct NoEma {};

/// Trains a network whose `forward` gives logits, or whatever `TrainerOptions::loss` takes:
///
///     mnv3::train::Trainer trainer(net, optimizer, {.epochs = 10, .checkpoint = "run.ckpt"});
///     const mnv3::train::TrainingResult result = trainer.fit(training, validation);
///
/// With `resume` it goes on from the checkpoint, if there is one, as if it had never stopped: on
/// one thread to the last bit. That takes a source whose batches follow from its seed, the epoch
/// and the batch's number, or from LibTorch's random generator in the thread that trains.
///
/// The checkpoint is a .pth file. `mnv3::load(net, "run.ckpt", {.prefix = "model."})` takes the
/// network out of it, or "ema." its average; in Python `torch.load` gives a dict of tensors.
///
/// @tparam Net  A module holder, such as mnv3::MobileNetV3<...>, or std::shared_ptr of a module.
/// @tparam Ema  mnv3::train::Ema<Net>, or what has `update`, `average`, `updates`, `set_updates`.
template <class Net, class Ema = NoEma>
class Trainer {
 public:
  /// The network is shared, not copied. The optimizer must outlive the trainer. Its rates now are
  /// what the schedule multiplies; `fit` leaves them as they were.
  Trainer(Net net, torch::optim::Optimizer& optimizer,
          TrainerOptions options = {}) requires std::same_as<Ema, NoEma>
      : net_(std::move(net)), optimizer_(optimizer), options_(std::move(options)) {}
  /// The average is updated after every step, and is what is evaluated. It must outlive the
  /// trainer.
  Trainer(Net net, torch::optim::Optimizer& optimizer, TrainerOptions options, Ema& ema)
      : net_(std::move(net)), optimizer_(optimizer), options_(std::move(options)), ema_(&ema) {}

  /// Trains, and evaluates after each epoch. The network keeps the last epoch's weights;
  /// `TrainerOptions::best` names a file for the best ones.
  ///
  /// Errors  std::invalid_argument for options that are out of range or contradict each other, or
  ///         where `checkpoint` is there and neither `resume` nor `overwrite` is set. On resume
  ///         LoadError that lists how the checkpoint's network differs, std::runtime_error that
  ///         lists which settings do; network, optimizer and files are then as they were.
  ///         NotFiniteError; WeightsError where a file cannot be read or written.
  template <batch_source Training, batch_source Validation>
  TrainingResult fit(Training& training, Validation& validation) {
    return run(training, &validation);
  }
  /// Without evaluation.
  template <batch_source Training>
  TrainingResult fit(Training& training) {
    return run<Training, Training>(training, nullptr);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr bool has_ema = !std::same_as<Ema, NoEma>;

  // ------------------------------------------------------------------------ the loop --

  template <class Training, class Validation>
  TrainingResult run(Training& training, Validation* validation) {
    check_options(training.batches());
    check_ranks(training);
    const SignalGuard signals(options_.handle_signals);
    const RatesKept rates(optimizer_);
    rate_.reset();
    if (options_.schedule) rate_ = std::make_unique<ScheduledRate>(optimizer_, options_.schedule);
    signals_ = &signals;
    result_ = {};
    trainable_.reset();
    begin(training, validation != nullptr, rates.rates);
    ProgressBar bar(options_.epochs * steps_per_epoch_, options_.progress && is_writer());
    bar_ = &bar;

    while (progress_.epoch < options_.epochs && !out_of_patience() && result_.signal == 0)
      run_epoch(training, validation);
    if (group().size() == 1 && result_.signal == 0)
      result_.signal = signals.received();  // while the last files were written
    result_.ended = result_.signal != 0                 ? Ended::signal
                    : progress_.epoch < options_.epochs ? Ended::early
                                                        : Ended::completed;
    result_.history = progress_.history;
    result_.best_epoch = progress_.best_epoch;
    result_.steps = progress_.step;
    return std::move(result_);
  }

  template <class Training, class Validation>
  void run_epoch(Training& training, Validation* validation) {
    begin_epoch(training);
    while (progress_.batch < batches_) {
      step(training);
      if (result_.signal != 0 || save_due_) save();
      if (result_.signal != 0) return;
    }
    bar_->clear();

    EpochRecord record{
        .epoch = progress_.epoch + 1,
        .step = progress_.step,
        .train_loss = progress_.loss_sum / static_cast<double>(progress_.images),
        .rate = optimizer_.param_groups().front().options().get_lr(),
        .images_per_second = static_cast<double>(progress_.images) / progress_.seconds,
        .seconds = progress_.seconds};
    share_buffers();
    if (validation != nullptr) {
      // What evaluation draws at random must not be seen by a training that begins with it again.
      const torch::Tensor random = detail::random_state(torch::kCPU);
      Evaluation evaluation = evaluate_on(*validation);
      if (!evaluation.complete) {
        detail::set_random_state(torch::kCPU, random);
        result_.signal = signals_->received();
        save();
        return;
      }
      record.validation_loss = evaluation.loss;
      record.accuracy = evaluation.accuracy;
      record.top5_accuracy = evaluation.top5_accuracy;
      result_.evaluation = std::move(evaluation);
    }
    end_epoch(record);
  }

  template <class Training>
  void begin_epoch(Training& training) {
    if (options_.on_epoch_begin) options_.on_epoch_begin(progress_.epoch);
    std::vector<bool> trainable;
    for (const torch::Tensor& parameter : net_->parameters())
      trainable.push_back(parameter.requires_grad());
    if (trainable_ != trainable) group().attach(*net_);
    trainable_ = std::move(trainable);
    net_->train();
    if (progress_.batch < batches_) training.start(progress_.epoch, progress_.batch);
    if (resumed_random_) set_random_states(*std::exchange(resumed_random_, std::nullopt));
  }

  /// One step of the optimizer.
  template <class Training>
  void step(Training& training) {
    const auto begin = Clock::now();
    apply_schedule(progress_.step);
    drop_gradients();
    const std::int64_t count = std::min(options_.accumulate, batches_ - progress_.batch);
    double loss_sum = 0;
    std::int64_t images = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const Batch batch = take_batch(training);
      torch::Tensor loss;
      {
        std::optional<Autocast> autocast;
        if (options_.autocast) autocast.emplace(device_.type());
        loss = options_.loss(net_->forward(batch.pictures), batch);
      }
      group().prepare_for_backward({loss}, i + 1 == count);
      (count == 1 ? loss : loss / count).backward();
      images += batch.pictures.size(0);
      loss_sum += loss.template item<double>() * static_cast<double>(batch.pictures.size(0));
    }

    const Agreed all = agree({loss_sum, static_cast<double>(images)});
    if (!std::isfinite(all.loss_sum)) fail_not_finite("the loss", all.loss_sum / all.images);
    clip_gradients();
    optimizer_.step();
    if constexpr (has_ema) ema_->update();
    ++progress_.step;
    progress_.batch += count;
    progress_.loss_sum += all.loss_sum;
    progress_.images += static_cast<std::int64_t>(all.images);
    progress_.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    bar_->update(progress_.step, static_cast<std::int64_t>(all.images),
                 fmt::format("epoch {}/{}  loss {:.3f}", progress_.epoch + 1, options_.epochs,
                             all.loss_sum / all.images));
  }

  template <class Validation>
  Evaluation evaluate_on(Validation& validation) {
    EvaluateOptions how{
        .loss = options_.validation_loss, .autocast = options_.autocast, .group = options_.group};
    if (group().size() == 1) how.interrupt = [this] { return signals_->received() != 0; };
    if constexpr (has_ema)
      return evaluate(ema_->average(), validation, how);
    else
      return evaluate(net_, validation, how);
  }

  /// Local batch norm has statistics of its own on each rank; what is evaluated and saved is rank
  /// 0's.
  void share_buffers() {
    if (group().size() == 1) return;
    broadcast(net_->buffers());
    if constexpr (has_ema) broadcast(ema_->average()->buffers());
  }
  void broadcast(const std::vector<torch::Tensor>& tensors) {
    for (const torch::Tensor& tensor : tensors) {
      torch::Tensor values = tensor.detach();
      group().broadcast(values);
    }
  }

  void end_epoch(const EpochRecord& record) {
    check_finite();  // or the best weights would be lost to it
    progress_.history.push_back(record);
    const bool is_best = is_better(metric_of(record), progress_.best_metric);
    if (is_best) {
      progress_.best_metric = metric_of(record);
      progress_.best_epoch = record.epoch;
    }
    if (options_.on_epoch_end) options_.on_epoch_end(record);
    ++progress_.epoch;
    progress_.batch = 0;
    progress_.loss_sum = 0;
    progress_.images = 0;
    progress_.seconds = 0;
    agree({});  // on signals since the last step
    // If the program dies between the two files, the epoch is done again and gives the same.
    if (is_best && !options_.best.empty()) save_best();
    write_checkpoint();
    on_writer("write its files", [&] {
      if (!options_.log.empty() && progress_.history.size() == 1)
        detail::begin_csv(options_.log, progress_.history);
      else if (!options_.log.empty())
        detail::append_csv(options_.log, record);
      if (!options_.curves.empty()) write_curves(options_.curves, progress_.history);
      if (options_.print) print(record, is_best);
    });
  }

  // ------------------------------------------------------------------------- the step --

  /// The source's next batch, where the network is.
  template <class Training>
  Batch take_batch(Training& training) {
    std::optional<Batch> batch = training.next();
    if (!batch)
      throw std::runtime_error(fmt::format(
          "mnv3: epoch {} ended too early: its source has said that it has {} batches on each rank",
          progress_.epoch + 1, batches_));
    return detail::to_device(std::move(*batch), device_);
  }

  /// Sets the rates of the step after `steps` of them.
  void apply_schedule(std::int64_t steps) {
    if (rate_) rate_->set(schedule_position(static_cast<double>(steps)));
  }

  double schedule_position(double step) const {
    const auto per_epoch = static_cast<double>(steps_per_epoch_);
    switch (options_.schedule_unit) {
      case ScheduleUnit::training:
        return step / (per_epoch * static_cast<double>(options_.epochs));
      case ScheduleUnit::epoch:
        return step / per_epoch;
      case ScheduleUnit::step:
        break;
    }
    return step;
  }

  /// Gradients do not exist at the beginning of a step. A parameter that gets none in a step is
  /// then left alone by the optimizer, in a training that goes on as in one that never stopped.
  void drop_gradients() {
    for (const torch::Tensor& parameter : net_->parameters()) parameter.mutable_grad().reset();
    for (auto& group : optimizer_.param_groups())
      for (const torch::Tensor& parameter : group.params()) parameter.mutable_grad().reset();
  }

  void clip_gradients() {
    if (!options_.clip_norm && !options_.check_gradients) return;
    std::vector<torch::Tensor> parameters;
    for (const auto& group : optimizer_.param_groups())
      parameters.insert(parameters.end(), group.params().begin(), group.params().end());
    const double norm = torch::nn::utils::clip_grad_norm_(
        parameters, options_.clip_norm.value_or(std::numeric_limits<double>::infinity()));
    if (options_.check_gradients && !std::isfinite(norm))
      fail_not_finite("the norm of the gradients", norm);
  }

  /// What is summed over all ranks, so that all of them decide the same.
  struct Agreed {
    double loss_sum = 0;
    double images = 0;
    double interrupted = 0;  ///< How many have received SIGINT.
    double terminated = 0;   ///< How many have received SIGTERM.
    double save_due = 0;     ///< What the writer's clock and count of steps say.
  };

  Agreed agree(Agreed mine) {
    mine.interrupted = signals_->received() == SIGINT ? 1 : 0;
    mine.terminated = signals_->received() == SIGTERM ? 1 : 0;
    const std::int64_t since = progress_.step + 1 - saved_step_;
    const double age = std::chrono::duration<double>(Clock::now() - saved_at_).count();
    const bool due = (options_.checkpoint_steps > 0 && since >= options_.checkpoint_steps) ||
                     (options_.checkpoint_seconds > 0 && age >= options_.checkpoint_seconds);
    mine.save_due = due && is_writer() ? 1 : 0;
    if (group().size() > 1) {
      const torch::Tensor sums = detail::summed(
          options_.group,
          torch::tensor(
              {mine.loss_sum, mine.images, mine.interrupted, mine.terminated, mine.save_due},
              torch::kDouble),
          device_);
      const auto sum = sums.accessor<double, 1>();
      mine = {sum[0], sum[1], sum[2], sum[3], sum[4]};
    }
    result_.signal = mine.terminated > 0 ? SIGTERM : mine.interrupted > 0 ? SIGINT : 0;
    save_due_ = mine.save_due > 0;
    return mine;
  }

  [[noreturn]] void fail_not_finite(std::string_view what, double value) const {
    throw NotFiniteError(
        fmt::format("mnv3: {} is {} in step {} (epoch {}, batch {}), with the rate {:.3g}; the "
                    "optimizer has not done that step, but batch norm has seen its pictures. {}",
                    what, std::isnan(value) ? "NaN" : fmt::format("{}", value), progress_.step + 1,
                    progress_.epoch + 1, progress_.batch + 1,
                    optimizer_.param_groups().front().options().get_lr(), last_checkpoint()));
  }

  std::string last_checkpoint() const {
    if (!has_checkpoint_)
      return "There is no checkpoint to go on from. Try a smaller rate, or `clip_norm`";
    return fmt::format(
        "The last good checkpoint is {}, of step {}. Go on from there with a "
        "smaller rate, or with `clip_norm`",
        options_.checkpoint.string(), saved_step_);
  }

  // ------------------------------------------------------------------- where it begins --

  void check_options(std::int64_t batches) const {
    const auto require = [](bool good, std::string_view what) {
      if (!good) throw std::invalid_argument(fmt::format("mnv3: a training needs {}", what));
    };
    require(batches > 0, "batches: its source has none");
    require(options_.epochs >= 0, fmt::format("0 epochs or more, not {}", options_.epochs));
    require(options_.accumulate > 0,
            fmt::format("{{.accumulate}} of 1 or more, not {}", options_.accumulate));
    require(
        options_.patience >= 0,
        fmt::format("{{.patience}} of 0 (never stop early) or more, not {}", options_.patience));
    require(!options_.clip_norm || *options_.clip_norm > 0,
            fmt::format("{{.clip_norm}} above 0, not {}", options_.clip_norm.value_or(0)));
    require(options_.checkpoint_steps >= 0 && options_.checkpoint_seconds >= 0,
            "{.checkpoint_steps} and {.checkpoint_seconds} of 0 (only after epochs) or more");
    require(!options_.resume || !options_.overwrite,
            "either {.resume}, to go on, or {.overwrite}, to begin anew");
    require(!options_.resume || !options_.checkpoint.empty(),
            "{.checkpoint}, the file that {.resume} is to go on from");
    require(!optimizer_.param_groups().empty(), "an optimizer that has parameters");
  }

  /// Ranks with fewer batches would leave the others waiting for ever.
  void check_batches() const {
    const auto mine = static_cast<double>(batches_), ranks = static_cast<double>(group().size());
    const torch::Tensor sums =
        detail::summed(options_.group, torch::tensor({mine, mine * mine}, torch::kDouble), device_);
    const auto sum = sums[0].template item<double>(), squares = sums[1].template item<double>();
    if (squares * ranks != sum * sum)
      throw std::invalid_argument(fmt::format(
          "mnv3: the ranks must have the same number of batches, but rank {} has {} and on average "
          "they have {:.2f}. Share the pictures out evenly",
          group().rank(), batches_, sum / ranks));
  }

  /// All ranks would train on the same pictures.
  template <class Training>
  void check_ranks(const Training& training) const {
    if constexpr (requires { training.ranks(); })
      if (training.ranks() != group().size() || training.rank() != group().rank())
        throw std::invalid_argument(
            fmt::format("mnv3: the pictures are dealt to rank {} of {}, but this is rank {} of {}; "
                        "set `rank` and `ranks` of its `Batching` to the group's",
                        training.rank(), training.ranks(), group().rank(), group().size()));
  }

  template <class Training>
  void begin(Training& training, bool has_validation, const std::vector<double>& rates) {
    batches_ = training.batches();
    steps_per_epoch_ = (batches_ + options_.accumulate - 1) / options_.accumulate;
    device_ = detail::device_of(*net_);
    check_batches();
    progress_ = {.epochs = options_.epochs};
    settings_ = settings_of(training, has_validation);
    resumed_random_.reset();
    on_writer("write its files", [&] {  // what can go wrong goes wrong now, not after an epoch
      for (const auto& path : {options_.checkpoint, options_.best, options_.log, options_.curves})
        if (!path.empty())
          weights::name_file_in_errors("write", path, [&] { weights::AtomicFile probe(path); });
    });
    const bool looks = !options_.checkpoint.empty() && !options_.overwrite;
    const torch::Tensor file = looks ? read_checkpoint() : torch::Tensor();
    has_checkpoint_ = file.defined() && options_.resume;
    if (has_checkpoint_)
      resume(file, rates);
    else if (file.defined())
      throw std::invalid_argument(
          fmt::format("mnv3: {} is there, from a training before. Set `resume` to go on from it or "
                      "`overwrite` to "
                      "begin anew, or choose another file",
                      options_.checkpoint.string()));
    else if (!options_.overwrite)
      on_writer("begin anew", [&] { refuse_lost_files(); });
    if constexpr (has_ema)
      if (group().size() > 1) {
        broadcast(ema_->average()->parameters());
        broadcast(ema_->average()->buffers());
      }
    saved_step_ = progress_.step;
    saved_at_ = Clock::now();
    if (has_checkpoint_)
      on_writer("write its files", [&] {
        if (!options_.log.empty()) detail::begin_csv(options_.log, progress_.history);
      });
  }

  /// A training that begins anew must not cost what another one has left: its log, or, unless it was
  /// to go on, its best weights.
  void refuse_lost_files() const {
    for (const auto& [path, what] : {std::pair(&options_.log, "log"),
                                     std::pair(options_.resume ? nullptr : &options_.best, "best")})
      if (path != nullptr && !path->empty() && std::filesystem::exists(*path))
        throw std::invalid_argument(fmt::format(
            "mnv3: {} (`{}`) is there, from a training before, but there is no checkpoint {} to go "
            "on from. Correct `checkpoint`, set `overwrite` to begin anew, or choose another file",
            path->string(), what, options_.checkpoint.string()));
  }

  /// What must be the same when the training goes on.
  template <class Training>
  detail::Settings settings_of(const Training& training, bool has_validation) const {
    detail::Settings settings;
    const auto add = [&](std::string_view name, const auto& value) {
      settings.emplace_back(name, fmt::format("{}", value));
    };
    if constexpr (requires { training.batch_size(); }) add("batch size", training.batch_size());
    if constexpr (requires { training.seed(); }) add("seed", training.seed());
    if constexpr (requires { training.size(); }) add("samples", training.size());
    add("batches per epoch and rank", batches_);
    add("ranks", group().size());
    add("accumulate", options_.accumulate);
    add("best by", !has_validation                       ? "training loss"
                   : options_.metric == Metric::accuracy ? "accuracy"
                                                         : "validation loss");
    add("device", device_.is_cpu() ? "cpu" : "cuda");
    const std::vector<torch::Tensor> parameters = net_->parameters();
    if (!parameters.empty()) add("dtype", c10::toString(parameters.front().scalar_type()));
    detail::add_optimizer(settings, optimizer_);
    return settings;
  }

  /// The writer's file on all ranks, of which the others may be on machines that do not have it;
  /// undefined if there is none.
  torch::Tensor read_checkpoint() {
    torch::Tensor bytes;
    on_writer("read the checkpoint", [&] {
      if (std::filesystem::exists(options_.checkpoint))
        bytes = detail::read_bytes(options_.checkpoint);
    });
    if (group().size() == 1) return bytes;
    torch::Tensor size =
        torch::tensor({bytes.defined() ? bytes.numel() : -1}, torch::kLong).to(device_);
    group().broadcast(size);
    const auto count = size.item<std::int64_t>();
    if (count < 0) return {};
    torch::Tensor there = bytes.defined()
                              ? bytes.to(device_)
                              : torch::empty({count}, at::dtype(torch::kByte).device(device_));
    group().broadcast(there);
    return there.to(torch::kCPU);
  }

  /// All or nothing: everything is read and checked before anything is changed.
  void resume(const torch::Tensor& bytes, const std::vector<double>& rates) {
    const detail::TrainingFile file(
        std::as_bytes(
            std::span(bytes.data_ptr<std::uint8_t>(), static_cast<std::size_t>(bytes.numel()))),
        options_.checkpoint);
    const NamedTensors targets = networks();
    NamedTensors values;
    for (const auto& [name, tensor] : targets) values.emplace_back(name, tensor.detach().clone());
    file.read_networks(values);
    detail::Progress progress = file.progress();
    std::string wrong = detail::differences(detail::to_text(file["settings"]), settings_);
    if (options_.epochs < progress.epochs)
      wrong += fmt::format("\n  epochs: {} in the checkpoint, {} now, which must not be fewer",
                           progress.epochs, options_.epochs);
    if (!wrong.empty())
      throw std::runtime_error(fmt::format(
          "mnv3: cannot go on from {}: it is of a training with other settings; nothing was "
          "changed{}\n"
          "  Train with the settings of the checkpoint, or begin anew with another file",
          options_.checkpoint.string(), wrong));
    RandomStates random{file["random.cpu"], {}};
    if (device_.is_cuda()) random.cuda = file["random.cuda"];

    detail::load_optimizer(optimizer_, file["optimizer"], device_);
    // Some optimizers bring the rates that they had; those of the program count.
    for (std::size_t i = 0; i < rates.size(); ++i)
      optimizer_.param_groups()[i].options().set_lr(rates[i]);
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      torch::Tensor target = targets[i].second;
      target.copy_(values[i].second);
    }
    if constexpr (has_ema) ema_->set_updates(progress.ema_updates);
    set_random_states(random);  // what begins an epoch may draw from it
    if (progress.batch > 0) resumed_random_ = std::move(random);
    progress.epochs = options_.epochs;
    progress_ = std::move(progress);
    // An epoch that has only its end before it tells its last rate.
    if (progress_.step > 0) apply_schedule(progress_.step - 1);
  }

  // --------------------------------------------------------------------------- files --

  /// The tensors of the network and its average, under the names of a checkpoint.
  NamedTensors networks() {
    NamedTensors tensors;
    detail::add_prefixed(tensors, "model.", state_dict(*net_));
    if constexpr (has_ema) detail::add_prefixed(tensors, "ema.", state_dict(*ema_->average()));
    return tensors;
  }

  /// What is not finite must replace nothing that is.
  void check_finite() const {
    const auto check = [&](const torch::nn::Module& module) {
      for (const auto& parameter : module.named_parameters())
        if (!parameter.value().isfinite().all().template item<bool>())
          throw NotFiniteError(fmt::format(
              "mnv3: {} is not finite after step {} (epoch {}), with the rate {:.3g}. {}",
              parameter.key(), progress_.step, progress_.epoch + 1,
              optimizer_.param_groups().front().options().get_lr(), last_checkpoint()));
    };
    check(*net_);
    if constexpr (has_ema) check(*ema_->average());
  }

  /// Writes the checkpoint, unless what it would have is of no use.
  void save() {
    bar_->clear();
    if (options_.checkpoint.empty()) return;
    check_finite();
    write_checkpoint();
  }

  /// The same where everything is known to be finite.
  void write_checkpoint() {
    if (options_.checkpoint.empty()) return;
    const RandomStates random = random_states();
    on_writer("write the checkpoint", [&] {
      NamedTensors tensors = networks();
      tensors.emplace_back("optimizer", detail::optimizer_bytes(optimizer_));
      tensors.emplace_back("random.cpu", random.cpu);
      if (random.cuda.defined()) tensors.emplace_back("random.cuda", random.cuda);
      if constexpr (has_ema) progress_.ema_updates = ema_->updates();
      detail::add_prefixed(tensors, "", detail::to_tensors(progress_));
      tensors.emplace_back("settings", detail::to_bytes(detail::to_text(settings_)));
      write_pth(options_.checkpoint, tensors);
    });
    has_checkpoint_ = true;
    saved_step_ = progress_.step;
    saved_at_ = Clock::now();
    save_due_ = false;
  }

  void save_best() {
    on_writer("write the best weights", [&] {
      if constexpr (has_ema)
        save_weights(ema_->average());
      else
        save_weights(net_);
    });
  }
  void save_weights(const Net& net) const {
    if constexpr (requires { mnv3::save(net, options_.best); })
      mnv3::save(net, options_.best);  // under the names of the network's family
    else
      mnv3::save(*net, options_.best);
  }

  /// The states of the generators of all ranks, a row for each.
  struct RandomStates {
    torch::Tensor cpu;
    torch::Tensor cuda;  ///< Undefined where the network is on the CPU.
  };

  RandomStates random_states() {
    RandomStates states{of_all_ranks(detail::random_state(torch::kCPU)), {}};
    if (device_.is_cuda()) states.cuda = of_all_ranks(detail::random_state(device_));
    return states;
  }
  void set_random_states(const RandomStates& states) {
    detail::set_random_state(torch::kCPU, states.cpu[group().rank()]);
    if (device_.is_cuda()) detail::set_random_state(device_, states.cuda[group().rank()]);
  }
  torch::Tensor of_all_ranks(const torch::Tensor& mine) {
    torch::Tensor all = torch::zeros({group().size(), mine.numel()}, mine.options());
    all[group().rank()].copy_(mine);
    return detail::summed(options_.group, all, device_);
  }

  // ------------------------------------------------------------------------ decisions --

  bool is_writer() const { return group().rank() == 0; }
  Group& group() const { return options_.group != nullptr ? *options_.group : alone_; }

  /// Runs `action` on rank 0. If it throws there, the others throw, too, instead of waiting.
  template <class Action>
  void on_writer(std::string_view what, Action action) {
    std::exception_ptr error;
    if (is_writer()) try {
        action();
      } catch (...) {
        error = std::current_exception();
      }
    const double failed =
        detail::summed(options_.group, torch::tensor({error ? 1.0 : 0.0}), device_)
            .template item<double>();
    if (error) std::rethrow_exception(error);
    if (failed > 0)
      throw std::runtime_error(
          fmt::format("mnv3: rank 0 could not {}, and its own message says why", what));
  }

  double metric_of(const EpochRecord& record) const {
    if (std::isnan(record.accuracy)) return -record.train_loss;
    return options_.metric == Metric::accuracy ? record.accuracy : -record.validation_loss;
  }
  static bool is_better(double value, double best) {
    return !std::isnan(value) && (std::isnan(best) || value > best);
  }
  bool out_of_patience() const {
    return options_.patience > 0 && progress_.epoch - progress_.best_epoch >= options_.patience;
  }

  void print(const EpochRecord& record, bool is_best) const {
    std::string line =
        fmt::format("epoch {}/{}  loss {:.3f}", record.epoch, options_.epochs, record.train_loss);
    if (!std::isnan(record.accuracy))
      line += fmt::format("  validation loss {:.3f}  accuracy {:.2f} %{}", record.validation_loss,
                          100 * record.accuracy, is_best ? " (best)" : "");
    fmt::print("{}  {:.0f} images/s  {:.1f} s\n", line, record.images_per_second, record.seconds);
    std::fflush(stdout);  // a log file shows each epoch when it ends
  }

  /// Gives the optimizer back the rates that it had.
  struct RatesKept {
    explicit RatesKept(torch::optim::Optimizer& of) : optimizer(of) {
      for (const auto& its_group : of.param_groups()) rates.push_back(its_group.options().get_lr());
    }
    RatesKept(const RatesKept&) = delete;
    RatesKept& operator=(const RatesKept&) = delete;
    ~RatesKept() {
      for (std::size_t i = 0; i < rates.size(); ++i)
        optimizer.param_groups()[i].options().set_lr(rates[i]);
    }
    torch::optim::Optimizer& optimizer;
    std::vector<double> rates;
  };

  Net net_;
  torch::optim::Optimizer& optimizer_;
  TrainerOptions options_;
  Ema* ema_ = nullptr;
  static inline Group alone_;

  // Of the training that runs.
  std::int64_t batches_ = 0;  // of an epoch, on each rank
  std::int64_t steps_per_epoch_ = 0;
  torch::Device device_ = torch::kCPU;
  detail::Settings settings_;
  detail::Progress progress_;
  TrainingResult result_;
  std::unique_ptr<ScheduledRate> rate_;
  std::optional<std::vector<bool>> trainable_;  // as the group knows it
  std::optional<RandomStates> resumed_random_;  // in the middle of an epoch
  const SignalGuard* signals_ = nullptr;
  ProgressBar* bar_ = nullptr;
  bool has_checkpoint_ = false;
  bool save_due_ = false;
  std::int64_t saved_step_ = 0;
  Clock::time_point saved_at_{};
};

}  // namespace mnv3::train
