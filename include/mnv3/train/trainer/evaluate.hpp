// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <mnv3/train/autocast.hpp>
#include <mnv3/train/data/batch.hpp>
#include <mnv3/train/group.hpp>
#include <mnv3/train/losses.hpp>

namespace mnv3::train {

/// What is to be made small: a scalar of the network's outputs for a batch and the batch.
using Loss = std::function<torch::Tensor(const torch::Tensor& outputs, const Batch& batch)>;

namespace detail {

/// Of logits and labels, which are classes or shares of classes.
inline torch::Tensor mean_cross_entropy(const torch::Tensor& outputs, const Batch& batch) {
  return cross_entropy(outputs, batch.labels);
}

}  // namespace detail

/// What a network does on pictures that it was not trained with.
struct Evaluation {
  std::int64_t count = 0;  ///< Pictures, of all ranks together.
  double loss = 0;         ///< Mean over the pictures.
  double accuracy = 0;     ///< Share whose label comes first, in [0, 1].
  double top5_accuracy =
      0;  ///< Share whose label is among the first five; NaN for up to five classes.
  torch::Tensor confusion;  ///< (truth, prediction), int64, on the CPU: how many pictures.
  bool complete = true;     ///< False if it was interrupted.
};

/// How `evaluate` works.
struct EvaluateOptions {
  Loss loss = detail::mean_cross_entropy;
  bool autocast = false;   ///< To bfloat16.
  Group* group = nullptr;  ///< With whose other ranks the pictures are shared.
  /// Asked after each batch, if given; true ends the evaluation. Not for more than one rank.
  std::function<bool()> interrupt{};
};

namespace detail {

/// Where the network's parameters are; the CPU if it has none.
inline torch::Device device_of(const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  return parameters.empty() ? torch::Device(torch::kCPU) : parameters.front().device();
}

inline Batch to_device(Batch batch, torch::Device device) {
  batch.pictures = batch.pictures.to(device, /*non_blocking=*/true);
  batch.labels = batch.labels.to(device, /*non_blocking=*/true);
  return batch;
}

/// Has a network in evaluation mode, and then each of its modules in the mode that it had.
class EvaluationMode {
 public:
  explicit EvaluationMode(torch::nn::Module& module) {
    modes_.emplace_back(&module, module.is_training());
    for (const auto& child : module.modules(/*include_self=*/false))
      modes_.emplace_back(child.get(), child->is_training());
    module.eval();
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;
  ~EvaluationMode() {
    for (const auto& [module, was_training] : modes_) module->train(was_training);
  }

 private:
  std::vector<std::pair<torch::nn::Module*, bool>> modes_;  // parents before their children
};

/// Sums a tensor over the ranks, on the device that their means of transport are for.
inline torch::Tensor summed(Group* group, const torch::Tensor& tensor, torch::Device device) {
  if (group == nullptr || group->size() == 1) return tensor;
  torch::Tensor there = tensor.to(device);
  group->all_reduce(there);
  return there.to(torch::kCPU);
}

}  // namespace detail

/// Runs the network, in evaluation mode and without gradients, on all pictures of a source.
///
/// Errors  c10::Error if a label is not a class of the network, or the outputs are no logits.
///         Where there are no pictures `count` is 0, and shares and loss are NaN.
template <class Net, batch_source Source>
Evaluation evaluate(Net& net, Source& source, const EvaluateOptions& options = {}) {
  const torch::NoGradGuard no_grad;
  const detail::EvaluationMode mode(*net);
  const torch::Device device = detail::device_of(*net);
  Evaluation result;
  double loss_sum = 0;
  std::int64_t classes = 0, in_first_five = 0;
  source.start(0, 0);
  while (std::optional<Batch> next = source.next()) {
    const Batch batch = detail::to_device(std::move(*next), device);
    std::optional<Autocast> autocast;
    if (options.autocast) autocast.emplace(device.type());
    const torch::Tensor outputs = net->forward(batch.pictures);
    TORCH_CHECK(outputs.dim() == 2,
                "mnv3: the accuracy is that of logits (N, classes), but the network gave ",
                outputs.sizes());
    classes = outputs.size(1);
    const std::int64_t count = outputs.size(0);
    if (count == 0) continue;
    const torch::Tensor truth = batch.labels.dim() == 2 ? batch.labels.argmax(1) : batch.labels;
    check_labels(truth, classes);
    const torch::Tensor loss = options.loss(outputs, batch);
    const std::int64_t five = std::min<std::int64_t>(5, classes);
    const torch::Tensor guesses = std::get<1>(outputs.topk(five, 1));  // best first
    const torch::Tensor pairs = truth * classes + guesses.select(1, 0);
    const torch::Tensor pictures = torch::bincount(pairs, {}, classes * classes).cpu();
    result.confusion = result.confusion.defined() ? result.confusion + pictures : pictures;
    in_first_five += guesses.eq(truth.unsqueeze(1)).sum().item<std::int64_t>();
    loss_sum += loss.item<double>() * static_cast<double>(count);
    result.count += count;
    if (options.interrupt && options.interrupt()) {
      result.complete = false;
      break;
    }
  }

  // A rank may have had no pictures at all: it learns from the others how many classes there are.
  const torch::Tensor sums =
      detail::summed(options.group,
                     torch::tensor({loss_sum, static_cast<double>(in_first_five),
                                    static_cast<double>(result.count), static_cast<double>(classes),
                                    classes > 0 ? 1.0 : 0.0},
                                   torch::kDouble),
                     device);
  const auto sum = [&](int i) { return sums[i].item<double>(); };
  result.count = static_cast<std::int64_t>(sum(2));
  classes = sum(4) > 0 ? static_cast<std::int64_t>(sum(3) / sum(4)) : 0;
  if (!result.confusion.defined())
    result.confusion = torch::zeros({classes * classes}, torch::kLong);
  result.confusion =
      detail::summed(options.group, result.confusion, device).view({classes, classes});
  result.loss = sum(0) / sum(2);
  result.top5_accuracy = classes > 5 ? sum(1) / sum(2) : std::numeric_limits<double>::quiet_NaN();
  result.accuracy = result.confusion.trace().item<double>() / sum(2);
  return result;
}

}  // namespace mnv3::train
