// SPDX-License-Identifier: MIT
// What decoders do beside 1x1 convolutions: dense 3x3 ones over blocked rows, rows twice as large,
// the gates and states of recurrent units.

#ifndef MNV3_SET  // as an editor reads it: alone
// clang-format off
#include <mnv3/engine/kernels/per_set/alone.hpp>
#include <mnv3/engine/kernels/per_set/finish.hpp>
#include <mnv3/engine/kernels/per_set/matmul.hpp>
#include <mnv3/engine/kernels/per_set/stem.hpp>
// clang-format on
#endif

namespace mnv3::engine::MNV3_SET {

/// Rows are [blocks][pixels][16]; counts are of pixels.
struct Decoding {
  static constexpr FinishSet finishes = only(Finish::linear) | only(Finish::relu);

  /// One output row of a convolution: for each factor group of its weights, of `group_lanes`
  /// channels, `segments` has where those of the first pixel are.
  static void convolve_row(const Matrix& weights, Finish finish, const float* const* segments,
                           std::int64_t width, float* output, std::ptrdiff_t out_block_stride) {
    const Product<finishes> product{
        .weights = weights, .finish = finish, .out_block_stride = out_block_stride};
    const Places<float> places{.first = output};
    PlaceCursor<float> cursor(places, 0);
    stem_columns<Tiles::rows, block_lanes, group_lanes>(product, segments, 0, width, cursor);
  }

  /// 1 / (1 + e^-x), in place, of `count` numbers, whole blocks of them.
  static void sigmoid(float* row, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += Wide::lanes)
      Wide::store(row + i, sigmoid_of(Wide::load(row + i)));
  }

  /// (e^x - e^-x) / (e^x + e^-x), in place.
  static void tanh(float* row, std::int64_t count) {
    const auto one = Wide::broadcast(1.0F);
    const auto two = Wide::broadcast(2.0F);
    for (std::int64_t i = 0; i < count; i += Wide::lanes) {
      const auto twice = Wide::multiply(two, Wide::load(row + i));
      Wide::store(row + i, Wide::subtract(Wide::multiply(two, sigmoid_of(twice)), one));
    }
  }

  /// above * (1 - weight) + below * weight, of `count` numbers, whole blocks of them.
  static void blend(const float* above, const float* below, float weight, std::int64_t count,
                    float* to) {
    const auto w = Wide::broadcast(weight);
    const auto rest = Wide::broadcast(1.0F - weight);
    for (std::int64_t i = 0; i < count; i += Wide::lanes)
      Wide::store(to + i, Wide::multiply_add(Wide::load(below + i), w,
                                             Wide::multiply(Wide::load(above + i), rest)));
  }

  /// `count` pixels of a row twice as wide as `from`, which has `width`.
  static void widen(const float* from, std::int64_t width, std::int64_t count, float* to) {
    const auto near = Wide::broadcast(0.75F);
    const auto far = Wide::broadcast(0.25F);
    for (int l = 0; l < block_lanes; l += Wide::lanes) {
      const auto pixel = [&](std::int64_t x) MNV3_INLINE_LAMBDA {
        return Wide::load(from + std::clamp<std::int64_t>(x, 0, width - 1) * block_lanes + l);
      };
      auto left = pixel(0);
      auto here = left;
      for (std::int64_t x = 0; 2 * x < count; ++x) {
        const auto right = pixel(x + 1);
        const auto share = Wide::multiply(here, near);
        float* const out = to + 2 * x * block_lanes + l;
        Wide::store(out, Wide::multiply_add(left, far, share));
        if (2 * x + 1 < count)
          Wide::store(out + block_lanes, Wide::multiply_add(right, far, share));
        left = here;
        here = right;
      }
    }
  }

  /// For each of `count` pixels the numbers of two neighbours in `from`, 8 for each pixel, blended:
  /// those of `left[x]` and of the one after it, which has the share `share[x]`; `last` has none
  /// after it.
  static void stretch(const float* from, const std::int32_t* left, const float* share,
                      std::int64_t count, std::int32_t last, float* to) {
    for (std::int64_t x = 0; x < count; ++x, to += half_lanes) {
      const float* const near = from + left[x] * half_lanes;
      const float* const next = from + std::min(left[x] + 1, last) * half_lanes;
      const auto w = Half::broadcast(share[x]);
      const auto rest = Half::broadcast(1.0F - share[x]);
      for (int l = 0; l < half_lanes; l += Half::lanes)
        Half::store(to + l, Half::multiply_add(Half::load(next + l), w,
                                               Half::multiply(Half::load(near + l), rest)));
    }
  }

 private:
  static typename Wide::Register sigmoid_of(typename Wide::Register x) {
    const auto one = Wide::broadcast(1.0F);
    return Wide::divide(
        one, Wide::add(one, exponential<Wide>(Wide::subtract(Wide::broadcast(0.0F), x))));
  }
};

}  // namespace mnv3::engine::MNV3_SET
