// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ops/batch_norm_update_stats.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <c10/util/Exception.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/types.h>

#include <mnv3/nn/conv2d_norm_activation.hpp>
#include <mnv3/train/distributed/summed_in.hpp>
#include <mnv3/train/group.hpp>

namespace mnv3::train {

namespace detail {

/// Mean and biased variance of each channel over all ranks, and the number of values in a channel.
struct BatchStatistics {
  torch::Tensor mean;
  torch::Tensor variance;
  double count;
};

/// Source  Chan, Golub, LeVeque: Algorithms for computing the sample variance (1983), eq. 2.1.
inline BatchStatistics global_statistics(const torch::Tensor& x, Group& group) {
  const std::int64_t channels = x.size(1);
  const double count = static_cast<double>(x.numel() / channels);
  // Of each channel the sum and the sum of squares, and the count: in double, where the mean's
  // square may be large against the variance.
  torch::Tensor sums = torch::zeros({2 * channels + 1}, x.options().dtype(torch::kDouble));
  if (count > 0) {
    // Statistics in the type that these have. They are not changed with a momentum of 0.
    const torch::Tensor unused =
        torch::zeros({channels}, x.options().dtype(summed_in(x.scalar_type())));
    const auto [local_mean, local_variance] =
        at::batch_norm_update_stats(x, unused, unused.clone(), 0.0);
    const torch::Tensor mean = local_mean.to(torch::kDouble);
    sums.slice(0, 0, channels).copy_(mean * count);
    sums.slice(0, channels, 2 * channels)
        .copy_((local_variance.to(torch::kDouble) + mean.square()) * count);
    sums[2 * channels] = count;
  }
  group.all_reduce(sums);
  const double total = sums[2 * channels].item<double>();
  TORCH_CHECK_VALUE(total > 1,
                    "mnv3: batch norm in training needs more than one value per channel, and got ",
                    total, " from all ranks together: x has shape ", x.sizes(), " here");
  const torch::Tensor mean = sums.slice(0, 0, channels) / total;
  const torch::Tensor squares = sums.slice(0, channels, 2 * channels) / total;
  const auto type = summed_in(x.scalar_type());
  return {mean.to(type), (squares - mean.square()).clamp_min(0).to(type), total};
}

/// x * scale + shift in each channel, in LibTorch's kernel for batch norm: one pass over memory.
inline torch::Tensor scale_and_shift(const torch::Tensor& x, const torch::Tensor& scale,
                                     const torch::Tensor& shift) {
  return std::get<0>(at::native_batch_norm(x, scale, shift, torch::zeros_like(scale),
                                           torch::ones_like(scale), /*training=*/false,
                                           /*momentum=*/0.0, /*eps=*/0.0));
}

class SyncBatchNorm : public torch::autograd::Function<SyncBatchNorm> {
 public:
  using Context = torch::autograd::AutogradContext;
  using Variables = torch::autograd::variable_list;

  static torch::Tensor forward(Context* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const BatchStatistics& statistics, double eps, Group* group) {
    context->save_for_backward({x, weight, statistics.mean, statistics.variance});
    context->saved_data["count"] = statistics.count;
    context->saved_data["eps"] = eps;
    context->saved_data["group"] = reinterpret_cast<std::int64_t>(group);
    if (x.numel() == 0) return x.clone();
    return std::get<0>(at::native_batch_norm(x, weight, bias, statistics.mean, statistics.variance,
                                             /*training=*/false, /*momentum=*/0.0, eps));
  }

  static Variables backward(Context* context, Variables gradients) {
    const Variables saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1], &mean = saved[2], &variance = saved[3];
    const double count = context->saved_data["count"].toDouble();
    const double eps = context->saved_data["eps"].toDouble();
    auto& group = *reinterpret_cast<Group*>(context->saved_data["group"].toInt());
    const torch::Tensor dy = contiguous_like(gradients[0], x);

    TORCH_CHECK(!torch::GradMode::is_enabled(),
                "mnv3: synchronised batch norm cannot be differentiated twice; call backward "
                "without create_graph");
    // The gradients of weight and bias, this rank's own: sums over dy * x_hat and over dy.
    const auto [d_weight, d_bias] = own_sums(x, dy, mean, variance, eps);
    Variables result{{}, d_weight, d_bias, {}, {}, {}};
    if (!context->needs_input_grad(0)) return result;

    // x also moves the mean and the variance of all ranks:
    //   dx = weight * invstd * (dy - mean(dy) - x_hat * mean(dy * x_hat))
    const std::int64_t channels = x.size(1);
    torch::Tensor sums = torch::cat({d_weight, d_bias}).to(torch::kDouble);
    group.all_reduce(sums);
    const torch::Tensor mean_dy_x_hat = sums.slice(0, 0, channels) / count;
    const torch::Tensor mean_dy = sums.slice(0, channels, 2 * channels) / count;
    const torch::Tensor invstd = (variance.to(torch::kDouble) + eps).rsqrt();
    const torch::Tensor of_dy = invstd * weight;
    const torch::Tensor of_x = -of_dy * invstd * mean_dy_x_hat;
    const torch::Tensor shift = -of_dy * mean_dy - of_x * mean;
    if (x.numel() == 0) {
      result[0] = dy.clone();
      return result;
    }
    const auto type = summed_in(x.scalar_type());
    torch::Tensor dx = scale_and_shift(x, of_x.to(type), shift.to(type));
    dx.addcmul_(dy, of_dy.to(x.scalar_type()).view({1, channels, 1, 1}));
    result[0] = std::move(dx);
    return result;
  }

 private:
  /// In the memory format of `x`, for which LibTorch's kernels are quick.
  static torch::Tensor contiguous_like(const torch::Tensor& gradient, const torch::Tensor& x) {
    return gradient.contiguous(x.suggest_memory_format());
  }

  static std::tuple<torch::Tensor, torch::Tensor> own_sums(const torch::Tensor& x,
                                                           const torch::Tensor& dy,
                                                           const torch::Tensor& mean,
                                                           const torch::Tensor& variance,
                                                           double eps) {
    if (x.numel() == 0) return {torch::zeros_like(mean), torch::zeros_like(mean)};
    const auto [dx, d_weight, d_bias] =
        at::native_batch_norm_backward(dy, x, torch::ones_like(mean), mean, variance, {}, {},
                                       /*train=*/false, eps, {false, true, true});
    return {d_weight, d_bias};
  }
};

/// What BatchNorm2d does to its running statistics in a step of training.
/// Source  torch 1.13.1 nn/modules/batchnorm.py L133-175; its variance is the unbiased one.
inline void update_running_statistics(torch::nn::BatchNorm2dImpl& norm,
                                      const BatchStatistics& statistics) {
  if (!norm.options.track_running_stats()) return;
  const torch::NoGradGuard no_grad;
  norm.num_batches_tracked += 1;
  const double momentum = norm.options.momentum().has_value()
                              ? *norm.options.momentum()
                              : 1.0 / norm.num_batches_tracked.item<double>();
  const double unbiased = statistics.count / (statistics.count - 1);
  norm.running_mean.mul_(1 - momentum).add_(statistics.mean, momentum);
  norm.running_var.mul_(1 - momentum).add_(statistics.variance, momentum * unbiased);
}

}  // namespace detail

/// `norm->forward(x)` in training, with the mean and the variance of all ranks' batches together,
/// each counted by its size. In evaluation, and in a group of one, it is LibTorch's own.
///
/// Every rank must call it, and its backward, in the same order; a batch may be empty. `group` must
/// live as long as the result's graph.
///
/// Shapes  x: (N, C, H, W), N and the picture's size may differ between ranks.
/// Errors  c10::Error if all ranks together have fewer than two values per channel; GroupError if a
///         rank is lost.
/// Grad    Exact, once: the gradient of the sum of all ranks' losses for x, and this rank's part of
///         it for weight and bias, as `Group::attach` wants it.
/// Source  Ioffe, Szegedy: Batch normalization (2015), with the sums over all ranks.
inline torch::Tensor sync_batch_norm(torch::nn::BatchNorm2dImpl& norm, const torch::Tensor& x,
                                     Group& group) {
  if (!norm.is_training() || group.size() == 1) return norm.forward(x);
  TORCH_CHECK(x.dim() == 4 && x.size(1) == norm.options.num_features(),
              "mnv3: sync_batch_norm takes (N, ", norm.options.num_features(),
              ", H, W), but x has shape ", x.sizes());
  const torch::Tensor input = x.contiguous(x.suggest_memory_format());
  const detail::BatchStatistics statistics = [&] {
    const torch::NoGradGuard no_grad;
    return detail::global_statistics(input, group);
  }();
  detail::update_running_statistics(norm, statistics);
  const bool affine = norm.options.affine();
  return detail::SyncBatchNorm::apply(input,
                                      affine ? norm.weight : torch::ones_like(statistics.mean),
                                      affine ? norm.bias : torch::zeros_like(statistics.mean),
                                      statistics, norm.options.eps(), &group);
}

/// Gives the batch norms of our layers in `module` the statistics of all ranks in training; with a
/// group of one process, LibTorch's own again, which every network starts with.
///
/// A clone made later does the same, so every rank must train it. `group` must outlive the module,
/// or be taken from it again.
///
/// @returns the names of other batch norms in `module`, whose statistics stay each rank's own; a
///          module of one's own calls `sync_batch_norm` in its `forward`.
inline std::vector<std::string> synchronize_batch_norm(torch::nn::Module& module, Group& group) {
  std::set<const torch::nn::Module*> ours;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    auto* const layer = part->as<Conv2dNormActivationImpl>();
    if (layer == nullptr || !layer->norm) continue;
    ours.insert(layer->norm.get());
    if (group.size() == 1)
      layer->batch_norm = nullptr;
    else
      layer->batch_norm = [&group](torch::nn::BatchNorm2dImpl& norm, const torch::Tensor& x) {
        return sync_batch_norm(norm, x, group);
      };
  }
  std::vector<std::string> left;
  for (const auto& part : module.named_modules("", /*include_self=*/false))
    if (part.value()->as<torch::nn::BatchNorm2dImpl>() != nullptr &&
        ours.count(part.value().get()) == 0)
      left.push_back(part.key());
  return left;
}

}  // namespace mnv3::train
