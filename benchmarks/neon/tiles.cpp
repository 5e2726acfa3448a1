// SPDX-License-Identifier: MIT
// The register tiles of NEON, each in a function of its own: mca.py looks for their inner loops.

#include <cstddef>
#include <cstdint>

#include <mnv3/engine/kernels/kernels.hpp>
#include <mnv3/engine/kernels/target.hpp>

MNV3_BEGIN_UNSCHEDULED
namespace mnv3::engine::neon {

constexpr FinishSet finishes = only(Finish::relu);

extern "C" void pointwise(const Product<finishes>& product, const float* input,
                          std::ptrdiff_t stride, float* const* rows, Ahead& ahead) {
  tile<Wide, Tiles::rows, Tiles::columns, block_lanes, block_lanes>(
      product, [=](int block) MNV3_INLINE_LAMBDA { return input + block * stride; }, 0, rows,
      ahead);
}

template <int Kernel>
void depthwise_row(const DepthwiseRow<finishes>& row, std::int64_t column, int lane, float* sum) {
  Wide::store(sum, depthwise_tile<Wide, Kernel, 1, false, Tiles::depthwise_columns>(
                       row, column, lane, Wide::load(sum)));
}
extern "C" void depthwise3x3(const DepthwiseRow<finishes>& row, std::int64_t column, int lane,
                             float* sum) {
  depthwise_row<3>(row, column, lane, sum);
}
extern "C" void depthwise5x5(const DepthwiseRow<finishes>& row, std::int64_t column, int lane,
                             float* sum) {
  depthwise_row<5>(row, column, lane, sum);
}

}  // namespace mnv3::engine::neon
MNV3_END_UNSCHEDULED
