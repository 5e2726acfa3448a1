// SPDX-License-Identifier: MIT
// The stem: the only convolution that mixes pixels and channels, from the picture as it is given.

#ifndef MNV3_SET  // as an editor reads it: alone
// clang-format off
#include <mnv3/engine/kernels/per_set/alone.hpp>
#include <mnv3/engine/kernels/per_set/finish.hpp>
#include <mnv3/engine/kernels/per_set/matmul.hpp>
// clang-format on
#endif

namespace mnv3::engine::MNV3_SET {

/// The stem of one picture.
template <FinishSet Set>
struct Stem {
  Picture picture;
  Extent in;
  Extent before;  ///< Zeros above and on the left.
  Matrix weights;
  Finish finish;
  Extent out;
  Stored* output;
};

/// Copies one row of one channel between two zeros, normalised.
template <FinishSet Set>
inline void copy_row(const Stem<Set>& job, int channel, std::int64_t row, float* to) {
  const Picture& p = job.picture;
  const std::int64_t width = job.in.width;
  const float* from = p.data + channel * p.channel_stride + row * p.row_stride;
  to[0] = to[width + 1] = 0.0F;
  if (p.column_stride == 1)
    std::memcpy(to + 1, from, static_cast<std::size_t>(width) * sizeof(float));
  else
    for (std::int64_t x = 0; x < width; ++x) to[x + 1] = from[x * p.column_stride];
  if (!p.mean) return;
  const float mean = p.mean[channel];
  const float std = p.std[channel];
  std::int64_t x = 1;
  for (; x + Half::lanes <= width + 1; x += Half::lanes)
    Half::store(to + x, Half::divide(Half::subtract(Half::load(to + x), Half::broadcast(mean)),
                                     Half::broadcast(std)));
  for (; x <= width; ++x) to[x] = (to[x] - mean) / std;
}

/// Rows and columns between the windows of neighbouring outputs.
inline constexpr int stem_step = stem_stride.height;
static_assert(stem_stride.is_square());

template <int Columns, FinishSet Set>
MNV3_INLINE void stem_columns(const Product<Set>& product, const float* const* segments,
                              std::int64_t column, std::int64_t width,
                              const Places<Stored>& places) {
  Ahead none;
  for (; width - column >= Columns; column += Columns) {
    Stored* rows[Columns];
    find_places(places, column, Columns, rows);
    tiles_of_rows<Columns, stem_step, 3>(
        product, [=](int s) MNV3_INLINE_LAMBDA { return segments[s] + column * stem_step; }, 0,
        lanes_of(product.weights.out), rows, none);
  }
  if constexpr (Columns > 1)
    stem_columns<Tiles::smaller(Columns)>(product, segments, column, width, places);
}

/// The output rows [row, row_end): a strided 3x3 convolution over windows of three copied rows,
/// so that the border stays zero whatever the normalisation. `scratch` has room for
/// `stem_floats_of`.
template <int Channels, FinishSet Set>
inline void run_stem_rows(const Stem<Set>& job, std::int64_t row, std::int64_t row_end,
                          float* scratch) {
  const std::int64_t length = job.in.width + 2;
  const auto at = [&](int channel, std::int64_t r) {
    return scratch + (r % 3 * Channels + channel) * length;
  };
  float* const zeros = scratch + 3 * Channels * length;
  std::fill_n(zeros, length, 0.0F);
  const Product<Set> product{.weights = job.weights,
                             .finish = job.finish,
                             .out_block_stride = job.out.pixels() * block_lanes};
  std::int64_t copied = std::max<std::int64_t>(row * stem_step - job.before.height, 0);
  for (std::int64_t y = row; y < row_end; ++y) {
    const std::int64_t top = y * stem_step - job.before.height;
    for (; copied < std::min(top + 3, job.in.height); ++copied)
      for (int c = 0; c < Channels; ++c) copy_row(job, c, copied, at(c, copied));
    const float* segments[Channels * 3];
    for (int c = 0; c < Channels; ++c)
      for (int ky = 0; ky < 3; ++ky) {
        const std::int64_t r = top + ky;
        segments[c * 3 + ky] =
            r < 0 || r >= job.in.height ? zeros : at(c, r) + 1 - job.before.width;
      }
    stem_columns<Tiles::rows>(product, segments, 0, job.out.width,
                            {.first = job.output + y * job.out.width * block_lanes});
  }
}

}  // namespace mnv3::engine::MNV3_SET
