// SPDX-License-Identifier: MIT
// Depthwise convolutions of one block of channels, row by row. The input rows have their zero
// columns beside them; rows outside the picture are left out.

#ifndef MNV3_SET  // as an editor reads it: alone
// clang-format off
#include <mnv3/engine/kernels/per_set/alone.hpp>
#include <mnv3/engine/kernels/per_set/finish.hpp>
// clang-format on
#endif

namespace mnv3::engine::MNV3_SET {

/// One output row of one block.
template <FinishSet Set>
struct DepthwiseRow {
  const float* const* inputs;  ///< `Kernel` rows from the first column that is seen; or null.
  const float* weights;        ///< [Kernel * Kernel][16]
  const float* start;
  const float* scale;
  const float* shift;
  Stored* output;
  std::int64_t width;  ///< Of the output.
  std::int64_t dilation;
  int lanes;
  Finish finish;
  float* row_sum;  ///< With `Sums`, for pooling: the row's sum of each lane is written here.
};

/// Adds one input row to `Columns` neighbouring sums. Each input is loaded once.
template <class V, int Kernel, int Stride, int Columns>
MNV3_INLINE void add_row(typename V::Register (&sums)[Columns], const float* input,
                         const float* weights) {
  // GCC would keep the address of each input in a register, and these in others when they run out.
  MNV3_OPAQUE(input);
  typename V::Register w[Kernel];
#pragma GCC unroll 16
  for (int k = 0; k < Kernel; ++k) w[k] = V::load(weights + k * block_lanes);
#pragma GCC unroll 64
  for (int x = 0; x < (Columns - 1) * Stride + Kernel; ++x) {
    const auto value = V::load(input + x * block_lanes);
#pragma GCC unroll 16
    for (int k = 0; k < Kernel; ++k)
      if (x >= k && (x - k) % Stride == 0 && (x - k) / Stride < Columns)
        sums[(x - k) / Stride] = V::multiply_add(value, w[k], sums[(x - k) / Stride]);
  }
}

/// The same with gaps between the inputs of a sum.
template <class V, int Kernel, int Stride, int Columns>
MNV3_INLINE void add_dilated_row(typename V::Register (&sums)[Columns], const float* input,
                                 const float* weights, std::int64_t dilation) {
#pragma GCC unroll 16
  for (int k = 0; k < Kernel; ++k) {
    const auto w = V::load(weights + k * block_lanes);
    const float* first = input + k * dilation * block_lanes;
    MNV3_OPAQUE(first);
#pragma GCC unroll 16
    for (int i = 0; i < Columns; ++i)
      sums[i] = V::multiply_add(V::load(first + i * Stride * block_lanes), w, sums[i]);
  }
}

template <class V, int Kernel, int Stride, bool Dilated, bool Sums, int Columns, FinishSet Set>
MNV3_INLINE typename V::Register depthwise_tile(const DepthwiseRow<Set>& row, std::int64_t column,
                                                int lane, typename V::Register total) {
  typename V::Register sums[Columns];
  const auto start = V::load(row.start + lane);
#pragma GCC unroll 16
  for (int i = 0; i < Columns; ++i) sums[i] = start;
  for (int ky = 0; ky < Kernel; ++ky) {
    if (!row.inputs[ky]) continue;
    const float* input = row.inputs[ky] + column * Stride * block_lanes + lane;
    const float* weights = row.weights + ky * Kernel * block_lanes + lane;
    if constexpr (Dilated)
      add_dilated_row<V, Kernel, Stride>(sums, input, weights, row.dilation);
    else
      add_row<V, Kernel, Stride>(sums, input, weights);
  }
  const auto scale = V::load(row.scale + lane);
  const auto shift = V::load(row.shift + lane);
  Stored* output = row.output + column * block_lanes + lane;
  with_finish<V, Set>(row.finish, [&](auto finish) MNV3_INLINE_LAMBDA {
#pragma GCC unroll 16
    for (int i = 0; i < Columns; ++i) {
      const auto y = finish(V::multiply_add(sums[i], scale, shift));
      V::store(output + i * block_lanes, y);
      if constexpr (Sums) total = V::add(total, y);
    }
  });
  return total;
}

template <class V, int Kernel, int Stride, bool Dilated, bool Sums,
          int Columns = Tiles::depthwise_columns, FinishSet Set>
MNV3_INLINE typename V::Register depthwise_columns_from(const DepthwiseRow<Set>& row,
                                                        std::int64_t column, int lane,
                                                        typename V::Register total) {
  for (; row.width - column >= Columns; column += Columns)
    total = depthwise_tile<V, Kernel, Stride, Dilated, Sums, Columns>(row, column, lane, total);
  if constexpr (Columns > 1)
    total = depthwise_columns_from<V, Kernel, Stride, Dilated, Sums, Columns / 2>(row, column, lane,
                                                                                  total);
  return total;
}

template <class V, int Kernel, int Stride, bool Dilated, bool Sums, FinishSet Set>
MNV3_INLINE void depthwise_lanes(const DepthwiseRow<Set>& row, int lane, int end) {
  for (; lane < end; lane += V::lanes) {
    const auto total =
        depthwise_columns_from<V, Kernel, Stride, Dilated, Sums>(row, 0, lane, V::broadcast(0.0F));
    if constexpr (Sums) V::store(row.row_sum + lane, total);
  }
}

template <int Kernel, int Stride, bool Dilated, bool Sums, FinishSet Set>
inline void depthwise(const DepthwiseRow<Set>& row) {
  if (row.lanes == block_lanes)
    depthwise_lanes<Wide, Kernel, Stride, Dilated, Sums>(row, 0, block_lanes);
  else
    depthwise_lanes<Half, Kernel, Stride, Dilated, Sums>(row, 0, half_lanes);
}

}  // namespace mnv3::engine::MNV3_SET
