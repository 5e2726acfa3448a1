// SPDX-License-Identifier: MIT
// The first half of a block: expansion and depthwise convolution, fused. Two blocks of channels at
// a time are expanded into a window of rows that stays in cache and convolved from there.

#ifndef MNV3_SET  // as an editor reads it: alone
// clang-format off
#include <mnv3/engine/kernels/per_set/alone.hpp>
#include <mnv3/engine/kernels/per_set/finish.hpp>
#include <mnv3/engine/kernels/per_set/matmul.hpp>
#include <mnv3/engine/kernels/per_set/depthwise.hpp>
#include <mnv3/engine/kernels/per_set/stem.hpp>
// clang-format on
#endif

namespace mnv3::engine::MNV3_SET {

/// The first half of one block of the network, for one picture.
template <FinishSet Set>
struct FirstHalf {
  Matrix depthwise;
  Finish finish;
  Extent in;
  Extent out;
  Extent before;  ///< Zeros above and on the left.
  Window window;
  int channels;  ///< Expanded ones.
  std::int64_t dilation;
  Stored* output;
  bool keeps_turns = true;  ///< Otherwise each turn's rows replace those of the one before.

  /// The place of an output row.
  Stored* output_row(int block, std::int64_t y, std::int64_t turn) const {
    return keeps_turns ? output + (block * out.pixels() + y * out.width) * block_lanes
                       : output + (block * window.out_rows + y - turn) * out.width * block_lanes;
  }
};

/// The place of block 0 in a window of which block `block` is the first.
template <FinishSet Set>
MNV3_INLINE float* window_origin(const FirstHalf<Set>& job, float* window, int block) {
  return window + job.window.border * block_lanes - block * job.window.block_floats();
}

// What brings the input rows [row, row_end) of the lanes from `block` on into the window.

/// The expansion of the block's input.
template <FinishSet Set>
struct ExpandedRows {
  const FirstHalf<Set>& job;
  const Stored* input;
  Matrix weights;
  Finish finish;
  Ahead ahead;

  template <int Rows = Tiles::rows>  // a template, so that only programs that use it compile it
  void fill(int block, int lane_end, std::int64_t row, std::int64_t row_end, float* window) {
    const Product<Set> product{
        .weights = weights, .finish = finish, .out_block_stride = job.window.block_floats()};
    const Places<float> places{.first = window_origin(job, window, block),
                               .width = job.in.width,
                               .row_stride = job.window.row_floats,
                               .slots = job.window.slots};
    multiply<Rows>(product, {.data = input, .block_stride = job.in.pixels() * block_lanes},
                   row * job.in.width, row_end * job.in.width, block * block_lanes, lane_end,
                   places, ahead);
  }
};

/// The block's input, or its expansion, as it is.
template <FinishSet Set>
struct CopiedRows {
  const FirstHalf<Set>& job;
  const Stored* input;

  void fill(int block, int lane_end, std::int64_t row, std::int64_t row_end, float* window) {
    for (int b = block; b * block_lanes < lane_end; ++b)
      for (std::int64_t r = row; r < row_end; ++r) {
        const Stored* from = input + (b * job.in.pixels() + r * job.in.width) * block_lanes;
        float* to = window_origin(job, window, block) + b * job.window.block_floats() +
                    r % job.window.slots * job.window.row_floats;
        for (std::int64_t i = 0; i < job.in.width * block_lanes; i += Wide::lanes)
          Wide::store(to + i, Wide::load(from + i));
      }
  }
};

/// The output of the stem, which exists nowhere else.
template <int Channels, FinishSet Set>
struct RowsOfStem {
  const FirstHalf<Set>& job;
  StemRows<Channels, Set> stem;

  void fill(int block, int, std::int64_t row, std::int64_t row_end, float* window) {
    stem.run(row, row_end,
             Places<float>{.first = window_origin(job, window, block),
                           .width = job.in.width,
                           .row_stride = job.window.row_floats,
                           .slots = job.window.slots},
             job.window.block_floats());
  }
};

/// The share's output rows and, with `Sums`, the sum of each of them over its pixels, [channels /
/// 16][rows][16]: by rows, so that the sum of all does not depend on who had which. After the rows
/// of each turn `use(from, to)` is called.
template <int Kernel, int RowStride, int ColumnStride, bool Dilated, bool Sums, FinishSet Set,
          class Source, class Use>
inline void convolve_rows(const FirstHalf<Set>& job, const Share& share, Source source,
                          float* window, float* row_sums, Use use) {
  const Window& w = job.window;
  for (int b = 0; b < window_blocks; ++b)  // nothing else is written into the borders
    for (std::int64_t slot = 0; slot < w.slots; ++slot) {
      float* row = window + b * w.block_floats() + slot * w.row_floats;
      std::fill_n(row, w.border * block_lanes, 0.0F);
      std::fill_n(row + (w.border + job.in.width) * block_lanes, w.border * block_lanes, 0.0F);
    }

  const std::int64_t reach = job.dilation * (Kernel - 1) + 1;
  for (int block = share.block; block < share.block_end; block += window_blocks) {
    const int lane_end = std::min(lanes_of(job.channels),
                                  std::min(block + window_blocks, share.block_end) * block_lanes);
    std::int64_t filled = std::max<std::int64_t>(share.row * RowStride - job.before.height, 0);
    for (std::int64_t turn = share.row; turn < share.row_end; turn += w.out_rows) {
      const std::int64_t turn_end = std::min(turn + w.out_rows, share.row_end);
      const std::int64_t needed =
          std::min((turn_end - 1) * RowStride - job.before.height + reach, job.in.height);
      if (needed > filled) {
        source.fill(block, lane_end, filled, needed, window);
        filled = needed;
      }
      for (int b = 0; (block + b) * block_lanes < lane_end; ++b) {
        const int lane = (block + b) * block_lanes;
        DepthwiseRow<Set> row{.inputs = nullptr,
                              .weights = job.depthwise.values + lane * (Kernel * Kernel),
                              .start = job.depthwise.start + lane,
                              .scale = job.depthwise.scale + lane,
                              .shift = job.depthwise.shift + lane,
                              .output = nullptr,
                              .width = job.out.width,
                              .dilation = job.dilation,
                              .lanes = std::min(lane_end - lane, block_lanes),
                              .finish = job.finish,
                              .row_sum = nullptr};
        for (std::int64_t y = turn; y < turn_end; ++y) {
          const float* inputs[Kernel];
          for (int ky = 0; ky < Kernel; ++ky) {
            const std::int64_t r = y * RowStride - job.before.height + ky * job.dilation;
            inputs[ky] = r < 0 || r >= job.in.height
                             ? nullptr
                             : window + b * w.block_floats() + r % w.slots * w.row_floats +
                                   (w.border - job.before.width) * block_lanes;
          }
          row.inputs = inputs;
          row.output = job.output_row(block + b, y, turn);
          if constexpr (Sums)
            row.row_sum = row_sums + ((block + b) * job.out.height + y) * block_lanes;
          depthwise<Kernel, ColumnStride, Dilated, Sums>(row);
        }
      }
      use(turn, turn_end);
    }
  }
}

}  // namespace mnv3::engine::MNV3_SET
