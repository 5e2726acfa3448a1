// SPDX-License-Identifier: MIT
// Products of activations and weights: 1x1 convolutions, Linears and, over its windows, the stem. A
// register tile of pixels x output channels is kept while the input channels go by. Every sum is
// taken from the first input channel to the last, whatever the tile: so it is the same bits however
// pixels, pictures and channels are divided among tiles and threads.

#ifndef MNV3_SET  // as an editor reads it: alone
// clang-format off
#include <mnv3/engine/kernels/per_set/alone.hpp>
#include <mnv3/engine/kernels/per_set/finish.hpp>
// clang-format on
#endif

namespace mnv3::engine::MNV3_SET {

/// Offset of register `column` of a tile from its first, in weights of `factors` for each output.
template <class V>
constexpr std::ptrdiff_t weight_offset(int column, int factors) {
  const int lane = column * V::lanes;
  return std::ptrdiff_t{lane / block_lanes} * factors * block_lanes + lane % block_lanes;
}

/// Weights that will be needed soon, fetched into the cache while there is much to calculate with
/// few: those of squeeze-and-excitation and of the Linears are read once each, as fast as memory
/// is.
struct Ahead {
  const float* next = nullptr;
  const float* end = nullptr;

  /// `lines` cache lines of them; or what is in the cache anyway.
  MNV3_INLINE const float* take(int lines, const float* otherwise) {
    if (end - next < std::ptrdiff_t{lines} * block_lanes) return otherwise;
    const float* taken = next;
    next += std::ptrdiff_t{lines} * block_lanes;
    return taken;
  }
};

/// Floats of coming weights that one step may fetch: twice the usual second cache level, since what
/// leaves that goes to the third.
inline constexpr std::int64_t most_ahead = 2 * 1024 * 1024 / sizeof(float);

/// Adds the products of `Rows` pixels and `Columns` registers of output channels with one factor, a
/// channel or a pair of them, whose values are `Step` factors apart.
template <class V, int Rows, int Columns, int Step, class F>
MNV3_INLINE void add_products(typename V::Register (&sums)[Rows][Columns], const F* input,
                              const F* weights, int factors) {
  decltype(V::load(weights)) w[Columns];
#pragma GCC unroll 8
  for (int c = 0; c < Columns; ++c) w[c] = V::load(weights + weight_offset<V>(c, factors));
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const auto x = V::broadcast(input[r * Step]);
#pragma GCC unroll 8
    for (int c = 0; c < Columns; ++c) sums[r][c] = V::multiply_add(x, w[c], sums[r][c]);
  }
}

/// Whether registers `V` multiply by one lane of another: the `V::lanes` factors of a pixel that
/// follow each other are then loaded at once.
template <class V, class F>
inline constexpr bool multiplies_by_lane = requires(const F* from, typename V::Register sum) {
  V::template multiply_add_by_lane<0>(V::load(from), V::load(from), sum);
};

/// Adds the products with `V::lanes` factors, from the first to the last.
template <class V, int Rows, int Columns, int Step, class F>
MNV3_INLINE void add_products_by_lane(typename V::Register (&sums)[Rows][Columns], const F* input,
                                      const F* weights, int factors) {
  decltype(V::load(input)) inputs[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) inputs[r] = V::load(input + r * Step);
  const auto add = [&]<int Lane>(std::integral_constant<int, Lane>) MNV3_INLINE_LAMBDA {
#pragma GCC unroll 8
    for (int c = 0; c < Columns; ++c) {
      const auto w = V::load(weights + Lane * block_lanes + weight_offset<V>(c, factors));
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r)
        sums[r][c] = V::template multiply_add_by_lane<Lane>(inputs[r], w, sums[r][c]);
    }
  };
  [&]<int... Lane>(std::integer_sequence<int, Lane...>) MNV3_INLINE_LAMBDA {
    (add(std::integral_constant<int, Lane>{}), ...);
  }
  (std::make_integer_sequence<int, V::lanes>{});
}

/// Adds the products with the first `count` factors, which come in segments, contiguous for the
/// first pixel. With each one it fetches a line of what is `ahead`, if that is not null.
template <class V, int Rows, int Columns, int Step, int Segment, bool Fetches, class SegmentAt,
          class F>
MNV3_INLINE void accumulate(typename V::Register (&sums)[Rows][Columns], SegmentAt segment_at,
                            int count, const F* weights, int factors, const float* ahead) {
  int s = 0;
  for (; (s + 1) * Segment <= count; ++s) {
    const F* input = segment_at(s);
    MNV3_OPAQUE(input);
    int k = 0;
    if constexpr (multiplies_by_lane<V, F>)
      for (; k + V::lanes <= Segment; k += V::lanes, weights += V::lanes * block_lanes) {
        if constexpr (Fetches)
#pragma GCC unroll 4
          for (int l = 0; l < V::lanes; ++l)
            __builtin_prefetch(ahead + (s * Segment + k + l) * block_lanes, 0, 2);
        add_products_by_lane<V, Rows, Columns, Step>(sums, input + k, weights, factors);
      }
#pragma GCC unroll 4
    for (; k < Segment; ++k, weights += block_lanes) {
      if constexpr (Step < Segment) MNV3_OPAQUE(input);  // pixels share inputs: too many to keep
      if constexpr (Fetches) __builtin_prefetch(ahead + (s * Segment + k) * block_lanes, 0, 2);
      add_products<V, Rows, Columns, Step>(sums, input + k, weights, factors);
    }
  }
  const int rest = count - s * Segment;
  if (rest == 0) return;
  const F* input = segment_at(s);
  int k = 0;
  if constexpr (multiplies_by_lane<V, F>)
    for (; k + V::lanes <= rest; k += V::lanes, weights += V::lanes * block_lanes)
      add_products_by_lane<V, Rows, Columns, Step>(sums, input + k, weights, factors);
#pragma GCC unroll 2
  for (; k < rest; ++k, weights += block_lanes)
    add_products<V, Rows, Columns, Step>(sums, input + k, weights, factors);
}

/// What all tiles of one product share.
template <FinishSet Set>
struct Product {
  Matrix weights;
  Finish finish = Finish::linear;
  bool adds_to_output = false;  ///< The residual: the input is what the output buffer holds.
  std::ptrdiff_t out_block_stride = 0;
};

/// One tile: sums, then residual or activation, then the store to `rows`, the places of the first
/// lane of each pixel.
template <class V, int Rows, int Columns, int Step, int Segment, FinishSet Set, class SegmentAt,
          class Out>
[[gnu::noinline]] void tile(const Product<Set>& p, SegmentAt segment_at, int lane, Out* const* rows,
                            Ahead& ahead) {
  const int block = lane / block_lanes;
  const int within = lane % block_lanes;
  typename V::Register sums[Rows][Columns];
#pragma GCC unroll 8
  for (int c = 0; c < Columns; ++c) {
    const auto start = V::load(p.weights.start + lane + c * V::lanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sums[r][c] = start;
  }
  using F = std::remove_cvref_t<decltype(*segment_at(0))>;
  const int whole = p.weights.depth / channels_in<F>;
  const int factors = (p.weights.depth + channels_in<F> - 1) / channels_in<F>;
  const F* weights = reinterpret_cast<const F*>(p.weights.values) +
                     std::ptrdiff_t{block} * factors * block_lanes + within;
  constexpr bool fetches = Rows == Tiles::rows && Step == Segment;
  accumulate<V, Rows, Columns, Step, Segment, fetches>(
      sums, segment_at, whole, weights, factors,
      fetches ? ahead.take(whole, reinterpret_cast<const float*>(weights)) : nullptr);
  if constexpr (channels_in<F> == 2)
    if (whole < factors) {  // a channel without its other half, which is nothing and may be NaN
      const F* input = segment_at(whole / Segment) + whole % Segment;
      F last[Rows];
      for (int r = 0; r < Rows; ++r) last[r] = {input[r * Step].first, Bfloat16(0.0F)};
      add_products<V, Rows, Columns, 1>(sums, last, weights + whole * block_lanes, factors);
    }

  const auto store = [&](auto finished) MNV3_INLINE_LAMBDA {
#pragma GCC unroll 8
    for (int c = 0; c < Columns; ++c) {
      const int at = within + c * V::lanes;
      const std::ptrdiff_t offset =
          (block + at / block_lanes) * p.out_block_stride + at % block_lanes;
      const auto scale = V::load(p.weights.scale + lane + c * V::lanes);
      const auto shift = V::load(p.weights.shift + lane + c * V::lanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r)
        V::store(rows[r] + offset,
                 finished(V::multiply_add(sums[r][c], scale, shift), rows[r] + offset));
    }
  };
  if (p.adds_to_output)
    store([&](auto sum, const Out* at) MNV3_INLINE_LAMBDA { return V::add(sum, V::load(at)); });
  else
    with_finish<V, Set>(p.finish, [&](auto finish) MNV3_INLINE_LAMBDA {
      store([&](auto sum, const Out*) MNV3_INLINE_LAMBDA { return finish(sum); });
    });
}

/// Registers of output channels in a tile of `Rows` pixels. For one pixel there are more: a sum
/// waits for itself, and the others keep the processor busy meanwhile.
template <int Rows>
inline constexpr int columns_of = Rows == 1 ? Tiles::columns_of_one : Tiles::columns;

/// `Rows` pixels x the lanes [lane, end).
template <int Rows, int Step, int Segment, FinishSet Set, class SegmentAt, class Out>
MNV3_INLINE void tiles_of_rows(const Product<Set>& p, SegmentAt segment_at, int lane, int end,
                               Out* const* rows, Ahead& ahead) {
  constexpr int columns = columns_of<Rows>;
  constexpr int widest = columns * Wide::lanes;
  for (; end - lane >= widest; lane += widest)
    tile<Wide, Rows, columns, Step, Segment>(p, segment_at, lane, rows, ahead);
  if constexpr (columns > Tiles::columns && Tiles::columns * Wide::lanes > block_lanes)
    for (; end - lane >= Tiles::columns * Wide::lanes; lane += Tiles::columns * Wide::lanes)
      tile<Wide, Rows, Tiles::columns, Step, Segment>(p, segment_at, lane, rows, ahead);
  if constexpr (Wide::lanes == block_lanes && Rows > 1 && Tiles::columns == 2)
    if (end - lane == block_lanes + half_lanes) {  // the other half is zeros, and there is room
      tile<Wide, Rows, 2, Step, Segment>(p, segment_at, lane, rows, ahead);
      return;
    }
  if constexpr (widest > block_lanes)
    for (; end - lane >= block_lanes; lane += block_lanes)
      tile<Wide, Rows, block_lanes / Wide::lanes, Step, Segment>(p, segment_at, lane, rows, ahead);
  if (lane < end)
    tile<Half, Rows, half_lanes / Half::lanes, Step, Segment>(p, segment_at, lane, rows, ahead);
}

/// Where the pixels of an output go.
template <class Out>
struct Places {
  Out* first;              ///< Of pixel 0, or of column 0 in slot 0.
  std::int64_t width = 0;  ///< Of a picture row; 0: the pixels follow each other.
  std::int64_t row_stride = 0;
  std::int64_t slots = 0;  ///< Rows there is room for; row r is in slot r % slots.
  std::ptrdiff_t pixel_stride = block_lanes;
};

/// The places of pixels in turn, without a division for each.
template <class Out>
class PlaceCursor {
 public:
  MNV3_INLINE PlaceCursor(const Places<Out>& places, std::int64_t pixel)
      : places_(places), next_(places.first) {
    if (places.width == 0) {
      next_ += pixel * places.pixel_stride;
      return;
    }
    slot_ = pixel / places.width % places.slots;
    column_ = pixel % places.width;
    next_ += slot_ * places.row_stride + column_ * places.pixel_stride;
  }

  /// Those of the next `count` pixels.
  MNV3_INLINE void take(int count, Out** rows) {
    if (places_.width == 0 || places_.width - column_ > count) {  // no end of a row among them
      for (int i = 0; i < count; ++i) rows[i] = next_ + i * places_.pixel_stride;
      next_ += count * places_.pixel_stride;
      column_ += count;
      return;
    }
    for (int i = 0; i < count; ++i) {
      rows[i] = next_;
      next_ += places_.pixel_stride;
      if (++column_ < places_.width) continue;
      column_ = 0;
      if (++slot_ == places_.slots) slot_ = 0;
      next_ = places_.first + slot_ * places_.row_stride;
    }
  }

 private:
  const Places<Out>& places_;
  Out* next_;
  std::int64_t slot_ = 0;
  std::int64_t column_ = 0;
};

/// Blocked activations, and what they are to be multiplied by on the way in.
struct Activations {
  const Stored* data;
  std::ptrdiff_t block_stride;
  const float* scale = nullptr;  ///< For each channel.
  Stored* scratch = nullptr;     ///< Room for `Tiles::rows` scaled pixels, where there is a scale.
};

static_assert(Tiles::rows <= most_tile_rows);  // there is room for them

template <int Rows, FinishSet Set, class Out>
MNV3_INLINE void multiply_pixels(const Product<Set>& p, const Activations& in, std::int64_t pixel,
                                 int lane, int end, PlaceCursor<Out>& places, Ahead& ahead) {
  Out* rows[Rows];
  places.take(Rows, rows);
  const Stored* first = in.data + pixel * block_lanes;
  std::ptrdiff_t stride = in.block_stride;
  if (in.scale) {
    Stored* scaled = in.scratch;
    const int blocks = blocks_of(p.weights.depth);
    for (int b = 0; b < blocks; ++b)
      for (int l = 0; l < block_lanes; l += Wide::lanes) {
        const auto scale = Wide::load(in.scale + b * block_lanes + l);
        for (int r = 0; r < Rows; ++r)
          Wide::store(scaled + (b * Rows + r) * block_lanes + l,
                      Wide::multiply(scale, Wide::load(first + b * stride + r * block_lanes + l)));
      }
    first = scaled;
    stride = Rows * block_lanes;
  }
  constexpr int factors = block_lanes * sizeof(Stored) / sizeof(Factor);
  tiles_of_rows<Rows, factors, factors>(
      p,
      [=](int block)
          MNV3_INLINE_LAMBDA { return reinterpret_cast<const Factor*>(first + block * stride); },
      lane, end, rows, ahead);
}

/// The pixels [pixel, pixel_end), in tiles of `Rows` while there are as many, then in smaller ones.
template <int Rows, FinishSet Set, class Out>
MNV3_INLINE void multiply_from(const Product<Set>& p, const Activations& in, std::int64_t pixel,
                               std::int64_t pixel_end, int lane, int lane_end,
                               PlaceCursor<Out>& places, Ahead& ahead) {
  for (; pixel_end - pixel >= Rows; pixel += Rows)
    multiply_pixels<Rows>(p, in, pixel, lane, lane_end, places, ahead);
  if constexpr (Rows > 1)
    multiply_from<Tiles::smaller(Rows)>(p, in, pixel, pixel_end, lane, lane_end, places, ahead);
}

/// The pixels [pixel, pixel_end) x the lanes [lane, lane_end).
template <int Rows = Tiles::rows, FinishSet Set, class Out>
inline void multiply(const Product<Set>& p, const Activations& in, std::int64_t pixel,
                     std::int64_t pixel_end, int lane, int lane_end, const Places<Out>& places,
                     Ahead& ahead) {
  PlaceCursor<Out> cursor(places, pixel);
  multiply_from<Rows>(p, in, pixel, pixel_end, lane, lane_end, cursor, ahead);
}

}  // namespace mnv3::engine::MNV3_SET
