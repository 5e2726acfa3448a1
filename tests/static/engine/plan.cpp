// SPDX-License-Identifier: MIT
#include <mnv3/engine/kernels/plan.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

#include <mnv3/config.hpp>
#include <mnv3/engine/kernels/batch.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

template <class Arch, class Taps = taps<>>
constexpr std::int64_t arena(std::int64_t height, std::int64_t width, std::int64_t threads = 1,
                             std::int64_t batch = 1) {
  return engine::arena_floats_of<engine::NetworkLayout<Arch, Taps>>({height, width}, threads,
                                                                    batch);
}
template <class Arch, class Taps = taps<>>
constexpr std::int64_t weights = engine::NetworkLayout<Arch, Taps>::places.size;

// At 224 x 224 the most that is alive at once are the input and the depthwise output of block 2: 16
// channels at 112 x 112 and 64 at 56 x 56. What tasks need beside it is less than a quarter.
constexpr std::int64_t alive = 16 * 112 * 112 + 64 * 56 * 56;
static_assert(arena<LargeArch>(224, 224) >= alive);
static_assert(arena<LargeArch>(224, 224) <= alive * 5 / 4);
static_assert(arena<LargeArch>(224, 224) * 4 <= 4 * 1024 * 1024);  // bytes
static_assert(arena<SmallArch>(224, 224) * 4 <= 4 * 1024 * 1024);

// All weights of the table are in it; of batch norm's four numbers for each channel, three. Padding
// to whole blocks is little.
static_assert(weights<LargeArch> >= parameter_count<LargeArch>() * 99 / 100);
static_assert(weights<LargeArch> <= parameter_count<LargeArch>() * 102 / 100);

// It never shrinks with the picture, and grows with the threads that share one and with the batch.
constexpr bool never_shrinks_with_the_picture() {
  for (const std::int64_t side : {1, 2, 7, 16, 31, 32, 33, 64, 223, 224, 225, 640}) {
    const std::int64_t square = arena<LargeArch>(side, side);
    if (arena<LargeArch>(side, side + 1) < square || arena<LargeArch>(side + 1, side) < square)
      return false;
  }
  return true;
}
static_assert(never_shrinks_with_the_picture());
static_assert(arena<LargeArch>(448, 448) > 3 * arena<LargeArch>(224, 224));

constexpr bool grows_with_threads_and_batch() {
  for (std::int64_t n = 1; n <= 8; ++n) {
    if (arena<LargeArch>(96, 128, n + 1) <= arena<LargeArch>(96, 128, n)) return false;
    for (std::int64_t threads = 1; threads <= 8; ++threads)
      if (arena<LargeArch>(96, 128, threads, n + 1) <= arena<LargeArch>(96, 128, threads, n))
        return false;
  }
  return true;
}
static_assert(grows_with_threads_and_batch());
// Where there are as many pictures as threads, each thread has memory of its own, and no more.
static_assert(arena<RvmArch, taps<after<16>>>(288, 512, 4, 4) ==
              4 * arena<RvmArch, taps<after<16>>>(288, 512));
static_assert(arena<RvmArch, taps<after<16>>>(288, 512, 4, 4) ==
              arena<RvmArch, taps<after<16>>>(288, 512, 4, 9));
// Threads that share a picture have windows of their own: at least the three rows of two blocks of
// channels, with a zero at each end, that block 1 convolves.
static_assert(arena<LargeArch>(224, 224, 2) - arena<LargeArch>(224, 224) >
              2 * 3 * (112 + 2) * engine::block_lanes);

// Pictures of a batch that take turns use the same memory: only the classifier's rows are added.
static_assert(arena<LargeArch>(224, 224, 1, 8) - arena<LargeArch>(224, 224) ==
              7 * (960 + 1280 + 1008));
static_assert(arena<RvmArch, taps<after<16>>>(288, 512, 1, 8) ==
              arena<RvmArch, taps<after<16>>>(288, 512));

static_assert(arena<WidthMult<LargeArch, std::ratio<1, 2>>>(224, 224) < arena<LargeArch>(224, 224));
// The peak is in the second block, far before what is dilated; only squeeze-and-excitation adds up
// 14 rows of 960 channels there, after 14 of 672.
static_assert(arena<Dilated<LargeArch>>(224, 224) - arena<LargeArch>(224, 224) == 14 * (960 - 672));

// bfloat16 takes half, but for windows of rows, sums and what goes with weights: three floats for
// each channel, and depthwise ones.
using HalfLarge = engine::NetworkLayout<LargeArch, taps<>, engine::Bfloat16>;
constexpr std::int64_t half_arena = engine::arena_floats_of<HalfLarge>({224, 224}, 1, 1);
static_assert(half_arena >= alive / 2 && half_arena <= alive * 3 / 4);
static_assert(HalfLarge::places.size > weights<LargeArch> / 2);
static_assert(HalfLarge::places.size < weights<LargeArch> * 53 / 100);
// Half a cache line for one pixel, rounded up to whole ones.
static_assert(engine::floats_for<engine::Bfloat16>(1, 1) == 16);
static_assert(engine::floats_for<engine::Bfloat16>(17, 3) == 48);
static_assert(engine::floats_for<float>(17, 3) == 96);

// A network that ends at an earlier tap has fewer weights and needs no more memory.
static_assert(weights<LargeArch, taps<after<6>>> < weights<LargeArch> / 50);
static_assert(weights<LargeArch, taps<embedding>> < weights<LargeArch>);
static_assert(arena<LargeArch, taps<after<6>>>(224, 224) < arena<LargeArch>(224, 224));
static_assert(arena<LargeArch, taps<after<0>>>(224, 224) <
              arena<LargeArch, taps<after<6>>>(224, 224));
static_assert(arena<LargeArch, taps<expansion<2>>>(224, 224) >= (16 + 64) * 112 * 112);
// One more tap: what it shows is kept whole.
static_assert(arena<LargeArch, taps<expansion<2>, logits>>(224, 224) >=
              (16 + 64) * 112 * 112 + 64 * 56 * 56);

// Sizes that nobody can mean have no arena: asking is no constant expression.
template <std::int64_t Height, std::int64_t Width, std::int64_t Threads, std::int64_t Batch>
concept has_arena = requires {
  typename std::integral_constant<std::int64_t, arena<LargeArch>(Height, Width, Threads, Batch)>;
};
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
static_assert(has_arena<1, 1, 1, 1>);
static_assert(has_arena<100'000, 100'000, 256, 100'000>);
static_assert(has_arena<1, 1 << 30, 1 << 10, 1>);
static_assert(!has_arena<883038159, 1044504335, 1, 1>);  // the product of sizes overflows
static_assert(!has_arena<1 << 25, 1 << 25, 1, 1>);       // and here what the plan makes of it
static_assert(!has_arena<1, most, 1, 1>);
static_assert(!has_arena<most, 1, 1, 1>);
static_assert(!has_arena<224, 224, most, 1>);
static_assert(!has_arena<224, 224, std::int64_t{1} << 40, 1>);
static_assert(!has_arena<224, 224, 1, most>);
static_assert(!has_arena<1, 1, std::int64_t{1} << 32, std::int64_t{1} << 32>);
static_assert(!has_arena<0, 224, 1, 1>);
static_assert(!has_arena<224, 0, 1, 1>);
static_assert(!has_arena<224, 224, 0, 1>);
static_assert(!has_arena<224, 224, 1, 0>);
static_assert(!has_arena<-1, 224, 1, 1>);
static_assert(!has_arena<224, least, 1, 1>);
static_assert(!has_arena<224, 224, -1, 1>);
static_assert(!has_arena<224, 224, 1, least>);

// The bound is above what it bounds, whatever grows.
template <class Layout>
constexpr bool bound_is_above() {
  for (const std::int64_t height : {1, 5000})
    for (const std::int64_t width : {8, 70'000})
      for (const std::int64_t threads : {1, 64})
        for (const std::int64_t batch : {1, 100'000})
          if (static_cast<double>(
                  engine::arena_floats_of<Layout>({height, width}, threads, batch)) *
                  sizeof(float) >
              engine::plan_bound<Layout>(static_cast<double>(height), static_cast<double>(width),
                                         static_cast<double>(threads), static_cast<double>(batch)))
            return false;
  return true;
}
struct WideDilations {
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {8, 7, 8, 8, true, Activation::RE, 2, 500},
      {8, 3, 72, 8, true, Activation::HS, 1, 2000},
  });
};
using Deepest = taps<after<0>, after<1>, expansion<2>, after<2>, after<3>, logits>;
static_assert(bound_is_above<engine::NetworkLayout<WideDilations, Deepest>>());
static_assert(bound_is_above<engine::NetworkLayout<WideDilations, Deepest, engine::Bfloat16>>());
static_assert(bound_is_above<engine::NetworkLayout<LargeArch, taps<>>>());

}  // namespace
