// SPDX-License-Identifier: MIT
#pragma once

// Transfer learning: what learns, how, and a trainer. What reads picture files is in
// mnv3/train/data/picture_loader.hpp, which needs mnv3::vision; training on several machines is in
// mnv3/train/distributed.hpp, which needs mnv3::distributed.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/train/augment/batch.hpp>
#include <mnv3/train/augment/color_jitter.hpp>
#include <mnv3/train/augment/rand_augment.hpp>
#include <mnv3/train/augment/random_erasing.hpp>
#include <mnv3/train/augment/random_resized_crop.hpp>
#include <mnv3/train/autocast.hpp>
#include <mnv3/train/data/batch.hpp>
#include <mnv3/train/data/image_folder.hpp>
#include <mnv3/train/data/tensor_loader.hpp>
#include <mnv3/train/ema.hpp>
#include <mnv3/train/freeze.hpp>
#include <mnv3/train/group.hpp>
#include <mnv3/train/losses.hpp>
#include <mnv3/train/memory.hpp>
#include <mnv3/train/mixup.hpp>
#include <mnv3/train/param_groups.hpp>
#include <mnv3/train/replace_classifier.hpp>
#include <mnv3/train/rmsprop.hpp>
#include <mnv3/train/schedule.hpp>
#include <mnv3/train/trainer.hpp>
#endif
