// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <ATen/Functions.h>
#include <torch/types.h>

#include <mnv3/train/augment/random_stream.hpp>
#include <mnv3/train/data/batch.hpp>

// For pictures that are in memory as tensors, small ones for example. What is done to a sample is a
// function of the stream and of the sample's index, not of its place in the batch: it is the same
// whether one process trains or several do.

namespace mnv3::train {

/// Mirrors each picture with probability `p`.
///
/// Shapes  batch.pictures: (N, C, H, W), any type; replaced, not changed where they are.
inline void random_horizontal_flip(Batch& batch, const RandomStream& random, double p = 0.5) {
  TORCH_CHECK(
      batch.pictures.dim() == 4 && p >= 0 && p <= 1,
      "mnv3: random_horizontal_flip takes pictures of shape (N, C, H, W) and a probability, "
      "but was given ",
      batch.pictures.sizes(), " and ", p);
  torch::Tensor chosen = torch::empty({batch.pictures.size(0), 1, 1, 1}, torch::kBool);
  const torch::Tensor indices = batch.indices.contiguous();
  for (std::int64_t i = 0; i < batch.pictures.size(0); ++i)
    chosen.data_ptr<bool>()[i] =
        random.split(indices.data_ptr<std::int64_t>()[i]).split(0).uniform() < p;
  batch.pictures =
      torch::where(chosen.to(batch.pictures.device()), batch.pictures.flip(3), batch.pictures);
}

/// Puts `padding` pixels of zeros around each picture and cuts a piece of its own size out of that:
/// shifts it, that is, by up to `padding` either way.
///
/// Shapes  batch.pictures: (N, C, H, W), any type; replaced, not changed where they are.
/// Source  torchvision 0.14.1 transforms/transforms.py RandomCrop(size, padding).
inline void random_crop(Batch& batch, const RandomStream& random, std::int64_t padding) {
  TORCH_CHECK(batch.pictures.dim() == 4 && padding >= 0,
              "mnv3: random_crop takes pictures of shape (N, C, H, W) and a padding from 0 on, but "
              "was given ",
              batch.pictures.sizes(), " and ", padding);
  const torch::Tensor padded =
      torch::constant_pad_nd(batch.pictures, {padding, padding, padding, padding});
  const std::int64_t height = batch.pictures.size(2), width = batch.pictures.size(3);
  const torch::Tensor indices = batch.indices.contiguous();
  torch::Tensor shifted = torch::empty_like(batch.pictures);
  for (std::int64_t i = 0; i < shifted.size(0); ++i) {
    RandomStream own = random.split(indices.data_ptr<std::int64_t>()[i]).split(1);
    const std::int64_t top = own.below(2 * padding + 1), left = own.below(2 * padding + 1);
    shifted[i].copy_(padded[i].narrow(1, top, height).narrow(2, left, width));
  }
  batch.pictures = shifted;
}

}  // namespace mnv3::train
