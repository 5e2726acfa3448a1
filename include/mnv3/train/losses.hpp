// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <torch/nn/functional/loss.h>
#include <torch/types.h>

namespace mnv3::train {

namespace detail {

inline void check_logits(const torch::Tensor& logits, const char* whose) {
  TORCH_CHECK(logits.dim() == 2 && logits.is_floating_point(), "mnv3: ", whose,
              " are scores for each picture and class, (N, classes) in floating point, but are ",
              logits.scalar_type(), " ", logits.sizes());
}

}  // namespace detail

/// Refuses labels that are none of `classes`, and says which one: LibTorch says only that there is
/// one, and on a GPU it ends the process.
///
/// Shapes  labels: (N), integers.
/// Errors  c10::Error.
inline void check_labels(const torch::Tensor& labels, std::int64_t classes) {
  TORCH_CHECK(labels.dim() == 1 && labels.scalar_type() == torch::kLong,
              "mnv3: labels are one int64 for each picture, (N), but are ", labels.scalar_type(),
              " ", labels.sizes());
  const torch::Tensor wrong = ((labels < 0) | (labels >= classes)).nonzero();
  if (wrong.size(0) == 0) return;
  const auto index = wrong[0][0].item<std::int64_t>();
  TORCH_CHECK(false, "mnv3: label ", index, " is ", labels[index].item<std::int64_t>(),
              ", but labels go from 0 to ", classes - 1, " (", wrong.size(0), " of ",
              labels.size(0),
              " do not); compare the data's classes with those of the network's last layer");
}

struct CrossEntropyOptions {
  /// How much of each label goes to all classes alike; 0.1 is usual.
  double label_smoothing = 0;
  /// (classes), or none.
  torch::Tensor class_weights{};
};

/// LibTorch's `cross_entropy`, with errors that say what is wrong.
///
/// Shapes  logits: (N, classes). target: (N), int64 labels; or (N, classes), what mixup gives, the
///         share of each class in each picture. Result: (), the mean.
/// Errors  c10::Error for other shapes or types, for labels that are no class, for a smoothing
///         outside 0 to 1.
/// Grad    To the logits.
/// Source  torch 1.13.1 nn/functional.py `cross_entropy`.
inline torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& target,
                                   const CrossEntropyOptions& options = {}) {
  detail::check_logits(logits, "logits");
  const std::int64_t classes = logits.size(1);
  if (target.is_floating_point()) {
    TORCH_CHECK(target.sizes() == logits.sizes(), "mnv3: soft targets of the shape ",
                target.sizes(), " do not fit logits of the shape ", logits.sizes(),
                "; both are (N, classes)");
  } else {
    check_labels(target, classes);
    TORCH_CHECK(target.size(0) == logits.size(0), "mnv3: there are ", target.size(0),
                " labels for the logits of ", logits.size(0), " pictures");
  }
  const torch::Tensor& weights = options.class_weights;
  TORCH_CHECK(!weights.defined() || (weights.dim() == 1 && weights.size(0) == classes),
              "mnv3: class weights of the shape ", weights.sizes(), " were given for ", classes,
              " classes; there is one for each class, (classes)");
  TORCH_CHECK(options.label_smoothing >= 0 && options.label_smoothing <= 1,
              "mnv3: label smoothing is from 0 to 1, but was given as ", options.label_smoothing);
  return torch::nn::functional::cross_entropy(logits, target,
                                              torch::nn::functional::CrossEntropyFuncOptions()
                                                  .label_smoothing(options.label_smoothing)
                                                  .weight(weights));
}

struct DistillationOptions {
  /// What logits are divided by before they are compared: the higher, the more the teacher's wrong
  /// answers count.
  double temperature = 4;
  /// How much the teacher counts; the labels have the rest.
  double alpha = 0.5;
  /// For the labels' share.
  CrossEntropyOptions labels{};
};

/// Teaches a network (the student) what another one (the teacher) says, besides the labels:
/// alpha * T^2 * KL(teacher || student), both softened by T, + (1 - alpha) * cross entropy.
///
///     torch::Tensor taught;
///     {
///       const torch::NoGradGuard no_grad;
///       taught = teacher->forward(pictures);
///     }
///     distillation_loss(net->forward(pictures), taught, labels).backward();
///
/// Shapes  Logits: both (N, classes). target: as in `cross_entropy`. Result: (), the mean.
/// Errors  c10::Error where `cross_entropy` has one, if the logits differ in shape, if the
///         temperature is not above 0, or alpha not from 0 to 1.
/// Grad    To the student's logits only.
/// Source  Hinton, Vinyals, Dean 2015, arXiv:1503.02531, section 2.
inline torch::Tensor distillation_loss(const torch::Tensor& student_logits,
                                       const torch::Tensor& teacher_logits,
                                       const torch::Tensor& target,
                                       const DistillationOptions& options = {}) {
  detail::check_logits(student_logits, "the student's logits");
  detail::check_logits(teacher_logits, "the teacher's logits");
  TORCH_CHECK(student_logits.sizes() == teacher_logits.sizes(), "mnv3: the student's logits are ",
              student_logits.sizes(), ", but the teacher's are ", teacher_logits.sizes(),
              "; both must see the same pictures and have the same classes");
  const double temperature = options.temperature, alpha = options.alpha;
  TORCH_CHECK(temperature > 0,
              "mnv3: the temperature of a distillation is above 0, but was given "
              "as ",
              temperature);
  TORCH_CHECK(alpha >= 0 && alpha <= 1,
              "mnv3: alpha, the teacher's share of the loss, is from 0 "
              "to 1, but was given as ",
              alpha);
  const torch::Tensor hard = cross_entropy(student_logits, target, options.labels);
  const torch::Tensor student = torch::log_softmax(student_logits / temperature, 1);
  const torch::Tensor teacher = torch::log_softmax(teacher_logits.detach() / temperature, 1);
  const torch::Tensor divergence = torch::nn::functional::kl_div(
      student, teacher,
      torch::nn::functional::KLDivFuncOptions().reduction(torch::kBatchMean).log_target(true));
  return alpha * temperature * temperature * divergence + (1 - alpha) * hard;
}

}  // namespace mnv3::train
