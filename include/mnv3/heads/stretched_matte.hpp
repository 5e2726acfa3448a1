// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include <mnv3/engine/arena.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/kernels.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/split.hpp>
#include <mnv3/engine/threads.hpp>

// The last step of a guided filter, for frames of any size: what was found on small frames is brought
// to the size of the large ones and applied to them, row by row. No LibTorch here.

namespace mnv3::heads {

/// A picture of floats, whose channels are where the strides say.
template <class Float>
struct Planes {
  Float* data;
  std::int64_t channel_stride, row_stride, column_stride;

  Float* row(int channel, std::int64_t y) const {
    return data + channel * channel_stride + y * row_stride;
  }
};

/// One frame: foreground and alpha of the large picture.
struct StretchedMatte {
  const float* coefficients;  ///< [height][width][8]: slopes and offsets of RGB and alpha.
  std::int64_t height, width;
  Planes<const float> source;
  Planes<float> foreground;
  Planes<float> alpha;
  std::int64_t large_height, large_width;
};

/// Where the pixel `x` of a side of `large` lies on one of `small`: between which two, and the share
/// of the second one.
///
/// Source  PyTorch 1.13 ATen/native/UpSample.h, `area_pixel_compute_source_index`, corners not
///         aligned.
struct Stretch {
  std::int32_t left;
  float share;

  Stretch(std::int64_t x, std::int64_t small, std::int64_t large) {
    const float scale = static_cast<float>(small) / static_cast<float>(large);
    const float at = std::max(scale * (static_cast<float>(x) + 0.5F) - 0.5F, 0.0F);
    left = std::min(static_cast<std::int32_t>(at), static_cast<std::int32_t>(small - 1));
    share = at - static_cast<float>(left);
  }
};

/// Applies the matte to the source: foreground and alpha, in [0, 1].
inline void stretch_matte(Isa isa, const StretchedMatte& job, const Threads& parallel) {
  using engine::block_lanes;
  using engine::half_lanes;
  const auto whole = [](std::int64_t n) {
    return (n + block_lanes - 1) / block_lanes * block_lanes;
  };
  const std::int64_t small_row = job.width * half_lanes;
  const std::int64_t padded_row = whole(small_row);
  const std::int64_t columns = whole(job.large_width);
  const std::int64_t task_floats = padded_row + whole(job.large_width * half_lanes);
  engine::ArenaLease arena(2 * columns + parallel.count * task_floats);
  float* const shares = arena.data();
  auto* const lefts = reinterpret_cast<std::int32_t*>(shares + columns);
  for (std::int64_t x = 0; x < job.large_width; ++x) {
    const Stretch stretch(x, job.width, job.large_width);
    shares[x] = stretch.share;
    lefts[x] = stretch.left;
  }
  engine::with_kernels_of<float>(isa, [&]<class Set> {
    using Kernels = typename Set::Decoding;
    parallel(parallel.count, [&](std::int64_t t) {
      float* const blended = shares + 2 * columns + t * task_floats;
      float* const stretched = blended + padded_row;
      for (std::int64_t y = engine::part(job.large_height, t, parallel.count);
           y < engine::part(job.large_height, t + 1, parallel.count); ++y) {
        const Stretch stretch(y, job.height, job.large_height);
        const float* const above = job.coefficients + stretch.left * small_row;
        const float* const below = stretch.left + 1 < job.height ? above + small_row : above;
        const std::int64_t blocks = small_row / block_lanes * block_lanes;
        Kernels::blend(above, below, stretch.share, blocks, blended);
        for (std::int64_t i = blocks; i < small_row; ++i)
          blended[i] = above[i] * (1.0F - stretch.share) + below[i] * stretch.share;
        Kernels::stretch(blended, lefts, shares, job.large_width,
                         static_cast<std::int32_t>(job.width - 1), stretched);

        using Four = float __attribute__((vector_size(16)));
        using UnalignedFour [[gnu::aligned(4), gnu::may_alias]] = Four;
        const std::array from{job.source.row(0, y), job.source.row(1, y), job.source.row(2, y)};
        const std::array to{job.foreground.row(0, y), job.foreground.row(1, y),
                            job.foreground.row(2, y), job.alpha.row(0, y)};
        const float* c = stretched;
        for (std::int64_t x = 0; x < job.large_width; ++x, c += half_lanes) {
          const std::int64_t at = x * job.source.column_stride;
          const float red = from[0][at];
          const float green = from[1][at];
          const float blue = from[2][at];
          const Four colours{red, green, blue, (red + green + blue) / 3.0F};
          const Four slope = *reinterpret_cast<const UnalignedFour*>(c);
          const Four offset = *reinterpret_cast<const UnalignedFour*>(c + 4);
          const Four matte = slope * colours + offset + Four{red, green, blue, 0.0F};
          const std::int64_t out = x * job.foreground.column_stride;
          for (int i = 0; i < 3; ++i) to[i][out] = std::min(std::max(matte[i], 0.0F), 1.0F);
          to[3][x * job.alpha.column_stride] = std::min(std::max(matte[3], 0.0F), 1.0F);
        }
      }
    });
  });
}

}  // namespace mnv3::heads
