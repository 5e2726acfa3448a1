// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <ATen/core/Generator.h>
#include <torch/nn/functional/embedding.h>
#include <torch/types.h>

#include <mnv3/train/losses.hpp>

namespace mnv3::train {

/// Pictures, and for each of them the share of every class: targets for `cross_entropy`.
struct MixedBatch {
  torch::Tensor pictures;  ///< (N, C, H, W)
  torch::Tensor target;    ///< (N, classes)
};

struct MixOptions {
  /// Shares are drawn from Beta(alpha, alpha): low ones mix little. torchvision's recipes have 0.2
  /// for mixup and 1 for cutmix.
  double alpha = 1;
  /// How likely a batch is to be mixed at all.
  double probability = 1;
};

namespace detail {

inline void check_mixable(const torch::Tensor& pictures, const torch::Tensor& labels,
                          std::int64_t classes, const MixOptions& options) {
  TORCH_CHECK(pictures.dim() == 4 && pictures.is_floating_point(),
              "mnv3: what is mixed are pictures (N, C, H, W) in floating point, but they are ",
              pictures.scalar_type(), " ", pictures.sizes());
  check_labels(labels, classes);
  TORCH_CHECK(labels.size(0) == pictures.size(0), "mnv3: there are ", labels.size(0),
              " labels for ", pictures.size(0), " pictures");
  TORCH_CHECK(options.alpha > 0,
              "mnv3: shares are drawn from Beta(alpha, alpha), and alpha is "
              "above 0, but was given as ",
              options.alpha);
  TORCH_CHECK(options.probability >= 0 && options.probability <= 1,
              "mnv3: the probability that a batch is mixed is from 0 to 1, but was given as ",
              options.probability);
}

inline torch::Tensor one_hot(const torch::Tensor& labels, std::int64_t classes,
                             const torch::Tensor& like) {
  return torch::one_hot(labels, classes).to(like.options());
}

inline bool is_drawn(double probability, const at::Generator& generator) {
  return torch::rand({1}, generator).item<float>() < static_cast<float>(probability);
}

/// The share of the picture itself, from Beta(alpha, alpha).
inline double draw_share(double alpha, const at::Generator& generator) {
  const auto a = static_cast<float>(alpha);
  return at::_sample_dirichlet(torch::tensor({a, a}), generator)[0].item<float>();
}

/// share * x + (1 - share) * the one before it, the last one before the first.
inline torch::Tensor blend(const torch::Tensor& x, double share) {
  return (x * share).add_(x.roll(1, 0).mul_(1 - share));
}

}  // namespace detail

/// Lays over each picture the one before it in the batch, each with a share, and its label alike.
///
/// All that is random comes from `generator`, which is one of the CPU's
/// (`at::make_generator<at::CPUGeneratorImpl>(seed)`): the same state gives the same batch, bit by
/// bit, and torchvision's with Python's generator in that state.
///
/// Shapes  pictures: (N, C, H, W). labels: (N), int64. The arguments are left alone.
/// Errors  c10::Error for other shapes and types, for labels that are no class, for an alpha that
///         is not above 0.
/// Source  torchvision 0.14.1 references/classification/transforms.py `RandomMixup`;
///         arXiv:1710.09412.
inline MixedBatch mixup(const torch::Tensor& pictures, const torch::Tensor& labels,
                        std::int64_t classes, const at::Generator& generator,
                        const MixOptions& options = {}) {
  detail::check_mixable(pictures, labels, classes, options);
  const torch::Tensor target = detail::one_hot(labels, classes, pictures);
  if (!detail::is_drawn(options.probability, generator)) return {pictures, target};
  const double share = detail::draw_share(options.alpha, generator);
  return {detail::blend(pictures, share), detail::blend(target, share)};
}

/// Puts into each picture a rectangle of the one before it in the batch; labels share as areas do.
///
/// Random numbers, shapes and errors are as in `mixup`.
///
/// Source  torchvision 0.14.1 references/classification/transforms.py `RandomCutmix`;
///         arXiv:1905.04899.
inline MixedBatch cutmix(const torch::Tensor& pictures, const torch::Tensor& labels,
                         std::int64_t classes, const at::Generator& generator,
                         const MixOptions& options = {}) {
  detail::check_mixable(pictures, labels, classes, options);
  const torch::Tensor target = detail::one_hot(labels, classes, pictures);
  if (!detail::is_drawn(options.probability, generator)) return {pictures, target};
  const double share = detail::draw_share(options.alpha, generator);
  const std::int64_t height = pictures.size(2), width = pictures.size(3);
  const auto draw = [&](std::int64_t end) {
    return torch::randint(end, {1}, generator, torch::kLong).item<std::int64_t>();
  };
  const std::int64_t x = draw(width), y = draw(height);
  const double half = 0.5 * std::sqrt(1 - share);  // of the sides, so that the area is 1 - share
  const auto half_width = static_cast<std::int64_t>(half * static_cast<double>(width));
  const auto half_height = static_cast<std::int64_t>(half * static_cast<double>(height));
  const std::int64_t left = std::max<std::int64_t>(x - half_width, 0);
  const std::int64_t right = std::min(x + half_width, width);
  const std::int64_t top = std::max<std::int64_t>(y - half_height, 0);
  const std::int64_t bottom = std::min(y + half_height, height);

  torch::Tensor mixed = pictures.clone();
  const auto box = [&](const torch::Tensor& of) {
    return of.slice(2, top, bottom).slice(3, left, right);
  };
  box(mixed).copy_(box(pictures).roll(1, 0));
  const double covered =
      static_cast<double>((right - left) * (bottom - top)) / static_cast<double>(width * height);
  return {mixed, detail::blend(target, 1 - covered)};
}

}  // namespace mnv3::train
