// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <tuple>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <mnv3/heads/frames.hpp>

// What brings a matte of small frames to the size of the large ones: locally it is a linear function
// of the source, whose coefficients are found on the small frames.
//
// Source  RobustVideoMatting model/{deep,fast}_guided_filter.py, as published (arXiv:2108.11515,
//         section 3.2; arXiv:1803.05619).

namespace mnv3 {

namespace heads {

/// What a guided filter works with. All are batches of frames: (N, C, H, W).
struct SmallMatte {
  torch::Tensor source;    ///< Of the large frames, scaled down.
  torch::Tensor residual;  ///< 3 channels: foreground minus source.
  torch::Tensor alpha;     ///< 1 channel.
  torch::Tensor hidden;    ///< The decoder's output.
};

/// Local means, covariances and variances of source and matte. Source and matte have 4 channels: the
/// source's mean over its colours beside these, alpha beside the residual.
struct LocalStatistics {
  torch::Tensor mean_x;
  torch::Tensor mean_y;
  torch::Tensor covariance;
  torch::Tensor variance;
};

inline torch::Tensor with_grey(const torch::Tensor& source) {
  return torch::cat({source, source.mean(1, /*keepdim=*/true)}, 1);
}

template <class Box>
LocalStatistics local_statistics(const SmallMatte& small, Box box) {
  const torch::Tensor x = with_grey(small.source);
  const torch::Tensor y = torch::cat({small.residual, small.alpha}, 1);
  const torch::Tensor mean_x = box(x);
  const torch::Tensor mean_y = box(y);
  return {mean_x, mean_y, box(x * y) - mean_x * mean_y, box(x * x) - mean_x * mean_x};
}

/// A matte as a linear function of the source with its grey, at each place of the small frames.
struct LinearMatte {
  torch::Tensor slope;   ///< (N, 4, H, W): of the three colours, then of alpha.
  torch::Tensor offset;  ///< As the slope.
};

inline LinearMatte linear_matte(const torch::Tensor& slope, const LocalStatistics& statistics) {
  return {slope, statistics.mean_y - slope * statistics.mean_x};
}

/// Residual and alpha of the large frames.
inline std::tuple<torch::Tensor, torch::Tensor> evaluate(const LinearMatte& small,
                                                         const torch::Tensor& source) {
  const auto large = [&](const torch::Tensor& x) {
    return resize_to(x, source.size(2), source.size(3));
  };
  const torch::Tensor matte = large(small.slope) * with_grey(source) + large(small.offset);
  return {matte.slice(1, 0, 3), matte.slice(1, 3, 4)};
}

}  // namespace heads

/// The refiner of RVM's published networks: a small network finds the slope.
class DeepGuidedFilterImpl final : public torch::nn::Cloneable<DeepGuidedFilterImpl> {
 public:
  /// `hidden` are the channels of the decoder's output.
  explicit DeepGuidedFilterImpl(std::int64_t hidden) : hidden_(hidden) { reset(); }

  void reset() override {
    namespace nn = torch::nn;
    box_filter = register_module(
        "box_filter", nn::Conv2d(nn::Conv2dOptions(4, 4, 3).padding(1).bias(false).groups(4)));
    {
      const torch::NoGradGuard no_grad;
      box_filter->weight.fill_(1.0 / 9.0);
    }
    const auto pointwise = [](std::int64_t in, std::int64_t out, bool bias) {
      return nn::Conv2d(nn::Conv2dOptions(in, out, 1).bias(bias));
    };
    const auto relu = [] { return nn::ReLU(nn::ReLUOptions(/*inplace=*/true)); };
    conv = register_module(
        "conv", nn::Sequential(pointwise(2 * 4 + hidden_, hidden_, false), nn::BatchNorm2d(hidden_),
                               relu(), pointwise(hidden_, hidden_, false), nn::BatchNorm2d(hidden_),
                               relu(), pointwise(hidden_, 4, true)));
  }

  /// Shapes  source: (N, 3, H, W); small: as SmallMatte says. Result: residual (N, 3, H, W) and
  ///         alpha (N, 1, H, W).
  std::tuple<torch::Tensor, torch::Tensor> forward(const torch::Tensor& source,
                                                   const heads::SmallMatte& small) {
    return heads::evaluate(fit(small), source);
  }

  heads::LinearMatte fit(const heads::SmallMatte& small) {
    const heads::LocalStatistics statistics = heads::local_statistics(
        small, [&](const torch::Tensor& x) { return box_filter->forward(x); });
    return heads::linear_matte(
        conv->forward(torch::cat({statistics.covariance, statistics.variance, small.hidden}, 1)),
        statistics);
  }

  torch::nn::Conv2d box_filter{nullptr};
  torch::nn::Sequential conv{nullptr};

 private:
  std::int64_t hidden_;
};
TORCH_MODULE(DeepGuidedFilter);

/// The refiner without weights: the slope is covariance over variance.
class FastGuidedFilterImpl final : public torch::nn::Cloneable<FastGuidedFilterImpl> {
 public:
  /// `hidden` is not looked at.
  explicit FastGuidedFilterImpl(std::int64_t = 0) {}
  void reset() override {}

  /// As DeepGuidedFilter's.
  std::tuple<torch::Tensor, torch::Tensor> forward(const torch::Tensor& source,
                                                   const heads::SmallMatte& small) {
    return heads::evaluate(fit(small), source);
  }

  heads::LinearMatte fit(const heads::SmallMatte& small) {
    const heads::LocalStatistics statistics = heads::local_statistics(small, mean_of_3x3);
    return heads::linear_matte(statistics.covariance / (statistics.variance + eps), statistics);
  }

 private:
  static constexpr double eps = 1e-5;

  /// With zeros beyond the border, which count.
  static torch::Tensor mean_of_3x3(const torch::Tensor& x) {
    return torch::avg_pool2d(x, 3, 1, 1, /*ceil_mode=*/false, /*count_include_pad=*/true);
  }
};
TORCH_MODULE(FastGuidedFilter);

}  // namespace mnv3
