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
};

/// Rows and columns between the windows of neighbouring outputs.
inline constexpr int stem_step = stem_stride.height;
static_assert(stem_stride.is_square());

/// (x - mean) / std for `count` values, which belong to `Channels` channels in turn.
template <int Channels>
inline void normalize_row(float* row, std::int64_t count, const float* mean, const float* std) {
  constexpr int turn = Channels * Half::lanes;
  float means[turn], stds[turn];
  for (int i = 0; i < turn; ++i) {
    means[i] = mean[i % Channels];
    stds[i] = std[i % Channels];
  }
  std::int64_t i = 0;
  for (; i + turn <= count; i += turn)
    for (int k = 0; k < turn; k += Half::lanes)
      Half::store(row + i + k,
                  Half::divide(Half::subtract(Half::load(row + i + k), Half::load(means + k)),
                               Half::load(stds + k)));
  for (; i < count; ++i) row[i] = (row[i] - means[i % turn]) / stds[i % turn];
}

/// Copies one row of the picture as [width][Channels] between two pixels of zeros, normalised.
template <int Channels, FinishSet Set>
inline void copy_interleaved(const Stem<Set>& job, std::int64_t row, float* to) {
  const Picture& p = job.picture;
  const std::int64_t count = job.in.width * Channels;
  std::fill_n(to, Channels, 0.0F);
  std::fill_n(to + Channels + count, Channels, 0.0F);
  to += Channels;
  if (!p.bytes) {
    std::memcpy(to, p.data + row * p.row_stride, static_cast<std::size_t>(count) * sizeof(float));
    if (p.mean) normalize_row<Channels>(to, count, p.mean, p.std);
    return;
  }
  const std::uint8_t* from = p.bytes + row * p.row_stride;
  for (std::int64_t x = 0; x < job.in.width; ++x, from += p.column_stride, to += Channels)
    for (int c = 0; c < Channels; ++c) to[c] = p.levels[c * 256 + from[c * p.channel_stride]];
}

/// Copies one row of the picture as [Channels][width], each between two zeros, normalised.
template <int Channels, FinishSet Set>
inline void copy_planar(const Stem<Set>& job, std::int64_t row, float* to) {
  const Picture& p = job.picture;
  const std::int64_t width = job.in.width;
  for (int c = 0; c < Channels; ++c, to += width + 2) {
    const float* from = p.data + c * p.channel_stride + row * p.row_stride;
    to[0] = to[width + 1] = 0.0F;
    if (p.column_stride == 1)
      std::memcpy(to + 1, from, static_cast<std::size_t>(width) * sizeof(float));
    else
      for (std::int64_t x = 0; x < width; ++x) to[x + 1] = from[x * p.column_stride];
    if (p.mean) normalize_row<1>(to + 1, width, p.mean + c, p.std + c);
  }
}

template <int Columns, int Step, int Segment, FinishSet Set, class Out>
MNV3_INLINE void stem_columns(const Product<Set>& product, const float* const* segments,
                              std::int64_t column, std::int64_t width, PlaceCursor<Out>& places) {
  Ahead none;
  for (; width - column >= Columns; column += Columns) {
    Out* rows[Columns];
    places.take(Columns, rows);
    tiles_of_rows<Columns, Step, Segment>(
        product, [=](int s) MNV3_INLINE_LAMBDA { return segments[s] + column * Step; }, 0,
        lanes_of(product.weights.out), rows, none);
  }
  if constexpr (Columns > 1)
    stem_columns<Tiles::smaller(Columns), Step, Segment>(product, segments, column, width, places);
}

/// The output rows in turn: a strided 3x3 convolution over windows of three copied rows, so that the
/// border stays zero whatever the normalisation. The rows are kept as the picture has them, with its
/// channels apart or side by side; the order of the sums is the same.
template <int Channels, FinishSet Set>
class StemRows {
 public:
  /// From output row `row` on; `scratch` has room for `stem_floats_of`.
  StemRows(const Stem<Set>& job, std::int64_t row, float* scratch)
      : job_(job),
        interleaved_(job.picture.bytes ||
                     (job.picture.channel_stride == 1 && job.picture.column_stride == Channels)),
        rows_(scratch),
        copied_(std::max<std::int64_t>(row * stem_step - job.before.height, 0)) {
    std::fill_n(zeros(), Channels * columns(), 0.0F);
  }

  /// The rows [row, row_end), after those before them, to their `places`.
  template <class Out>
  void run(std::int64_t row, std::int64_t row_end, const Places<Out>& places,
           std::ptrdiff_t out_block_stride) {
    if (interleaved_)
      run_rows<true>(row, row_end, places, out_block_stride);
    else
      run_rows<false>(row, row_end, places, out_block_stride);
  }

 private:
  static constexpr int kernel = 3;

  std::int64_t columns() const { return job_.in.width + 2; }
  float* copy_of(std::int64_t row) const { return rows_ + row % kernel * Channels * columns(); }
  float* zeros() const { return rows_ + kernel * Channels * columns(); }

  template <bool Interleaved, class Out>
  void run_rows(std::int64_t row, std::int64_t row_end, const Places<Out>& places,
                std::ptrdiff_t out_block_stride) {
    const Product<Set> product{
        .weights = job_.weights, .finish = job_.finish, .out_block_stride = out_block_stride};
    PlaceCursor<Out> cursor(places, row * job_.out.width);
    for (std::int64_t y = row; y < row_end; ++y) {
      const std::int64_t top = y * stem_step - job_.before.height;
      for (; copied_ < std::min(top + kernel, job_.in.height); ++copied_) {
        if constexpr (Interleaved)
          copy_interleaved<Channels>(job_, copied_, copy_of(copied_));
        else
          copy_planar<Channels>(job_, copied_, copy_of(copied_));
      }
      const float* segments[Interleaved ? kernel : kernel * kernel * Channels];
      for (int ky = 0; ky < kernel; ++ky) {
        const std::int64_t r = top + ky;
        const float* const kept = r < 0 || r >= job_.in.height ? zeros() : copy_of(r);
        const std::int64_t first = 1 - job_.before.width;
        if constexpr (Interleaved)
          segments[ky] = kept + first * Channels;
        else
          for (int kx = 0; kx < kernel; ++kx)
            for (int c = 0; c < Channels; ++c)
              segments[(ky * kernel + kx) * Channels + c] = kept + c * columns() + first + kx;
      }
      if constexpr (Interleaved)
        stem_columns<Tiles::rows, stem_step * Channels, kernel * Channels>(product, segments, 0,
                                                                           job_.out.width, cursor);
      else
        stem_columns<Tiles::rows, stem_step, 1>(product, segments, 0, job_.out.width, cursor);
    }
  }

  const Stem<Set>& job_;
  bool interleaved_;
  float* rows_;          ///< Three rows of the picture and one of zeros.
  std::int64_t copied_;  ///< The next row to copy.
};

}  // namespace mnv3::engine::MNV3_SET
