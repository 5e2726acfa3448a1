// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/deploy/kernels/bfloat16.hpp>
#include <mnv3/deploy/kernels/layout.hpp>
#include <mnv3/deploy/kernels/packed.hpp>
#include <mnv3/deploy/kernels/plan.hpp>

// What the kernels are asked to do, the same for every instruction set.

namespace mnv3::detail {

/// A function of a task's number, by reference.
class Task {
 public:
  template <class Function>
  explicit Task(const Function& function)
      : function_(&function),
        call_([](const void* f, std::int64_t task) { (*static_cast<const Function*>(f))(task); }) {}
  void operator()(std::int64_t number) const { call_(function_, number); }

 private:
  const void* function_;
  void (*call_)(const void*, std::int64_t);
};

/// How work is spread: `run(n, task)` calls task(0) ... task(n - 1), perhaps at the same time.
struct Threads {
  std::int64_t count = 1;
  void (*run)(std::int64_t, const Task&) = nullptr;

  template <class Function>
  void operator()(std::int64_t tasks, const Function& function) const {
    if (tasks == 1)
      function(std::int64_t{0});
    else
      run(tasks, Task(function));
  }
};

/// Multiplications from which a product of one pixel is worth asking other threads.
inline constexpr std::int64_t parallel_from = 1 << 17;

/// Floats of coming weights that one step may fetch: twice the usual second cache level, since what
/// leaves that goes to the third.
inline constexpr std::int64_t most_ahead = 2 * 1024 * 1024 / sizeof(float);

/// The first of `count` things that belongs to task `task` of `tasks`.
constexpr std::int64_t part(std::int64_t count, std::int64_t task, std::int64_t tasks) {
  return count * task / tasks;
}

/// Some rows of some blocks of channels: what one task does.
struct Share {
  std::int64_t row, row_end;
  int block, block_end;
};

/// A division of rows x blocks of channels among tasks.
struct Split {
  std::int64_t row_parts = 1;
  std::int64_t block_parts = 1;

  constexpr std::int64_t tasks() const { return row_parts * block_parts; }
  constexpr Share share(std::int64_t task, int blocks, std::int64_t rows) const {
    const std::int64_t r = task / block_parts;
    const std::int64_t b = task % block_parts;
    return {part(rows, r, row_parts), part(rows, r + 1, row_parts),
            static_cast<int>(part(blocks, b, block_parts)),
            static_cast<int>(part(blocks, b + 1, block_parts))};
  }
  /// The task that has these rows of this block.
  constexpr std::int64_t task_of(std::int64_t row_part, int block, int blocks) const {
    std::int64_t b = 0;
    while (part(blocks, b + 1, block_parts) <= block) ++b;
    return row_part * block_parts + b;
  }
};

/// The division that leaves the least to the task with the most. Rows at the seams are expanded
/// twice.
constexpr Split split_of(std::int64_t tasks, int blocks, std::int64_t rows) {
  Split best;
  double least = static_cast<double>(blocks) * static_cast<double>(rows);
  for (std::int64_t r = 1; r <= std::min(tasks, rows); ++r) {
    const std::int64_t b = std::min<std::int64_t>(tasks / r, blocks);
    const auto most_rows = static_cast<double>((rows + r - 1) / r + (r > 1 ? 2 : 0));
    const auto most = most_rows * static_cast<double>((blocks + b - 1) / b);
    if (most < least) {
      least = most;
      best = {r, b};
    }
  }
  return best;
}

/// A picture as the caller has it: strides in floats.
struct Picture {
  const float* data;
  std::int64_t channel_stride;
  std::int64_t row_stride;
  std::int64_t column_stride;
  const float* mean = nullptr;  ///< Of each channel, where the network normalises; or null.
  const float* std = nullptr;
};

/// Where a tapped feature of one picture goes: dense, channels first or last.
struct Output {
  float* data = nullptr;
  bool channels_last = false;
};

using Row = float __attribute__((vector_size(16)));
/// One anywhere in memory. The attributes are the name's: Clang ignores `aligned` in a vector type.
using UnalignedRow [[gnu::aligned(4), gnu::may_alias]] = Row;
static_assert(alignof(UnalignedRow) == 4);

/// 4 numbers as floats.
inline Row row_at(const float* from) { return *reinterpret_cast<const UnalignedRow*>(from); }
inline Row row_at(const Bfloat16* from) {
  using AlignedHalves = std::uint16_t __attribute__((vector_size(8)));
  using Halves [[gnu::aligned(2), gnu::may_alias]] = AlignedHalves;
  static_assert(alignof(Halves) == 2);
  using Bits = std::uint32_t __attribute__((vector_size(16)));
  return (Row)(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), Bits) << 16);
}

/// 4 x 4 numbers, transposed. `stride` is between the rows of `to`.
template <class Stored>
inline void transpose(const Stored* from, float* to, std::int64_t stride) {
  const auto row = [&](int i) { return row_at(from + i * block_lanes); };
  const auto low = [](Row x, Row y) { return __builtin_shufflevector(x, y, 0, 4, 1, 5); };
  const auto high = [](Row x, Row y) { return __builtin_shufflevector(x, y, 2, 6, 3, 7); };
  const Row a = low(row(0), row(2));
  const Row b = low(row(1), row(3));
  const Row c = high(row(0), row(2));
  const Row d = high(row(1), row(3));
  *reinterpret_cast<UnalignedRow*>(to) = low(a, b);
  *reinterpret_cast<UnalignedRow*>(to + stride) = high(a, b);
  *reinterpret_cast<UnalignedRow*>(to + 2 * stride) = low(c, d);
  *reinterpret_cast<UnalignedRow*>(to + 3 * stride) = high(c, d);
}

/// Copies one block of `lanes` channels, from channel `first` of `channels` on, to `output`.
template <class Stored>
inline void unblock(const Stored* block, std::int64_t pixels, int first, int lanes, int channels,
                    const Output& output) {
  if (output.channels_last) {
    for (std::int64_t p = 0; p < pixels; ++p)
      std::copy_n(block + p * block_lanes, lanes, output.data + p * channels + first);
    return;
  }
  float* const to = output.data + first * pixels;
  const std::int64_t whole = lanes % 4 == 0 ? pixels / 4 * 4 : 0;
  // Whole cache lines of four channels at a time: more channels would fall into the same sets.
  for (std::int64_t from = 0; from < whole; from += block_lanes)
    for (int l = 0; l < lanes; l += 4)
      for (std::int64_t p = from; p < std::min(from + block_lanes, whole); p += 4)
        transpose(block + p * block_lanes + l, to + l * pixels + p, pixels);
  for (std::int64_t p = whole; p < pixels; ++p)
    for (int l = 0; l < lanes; ++l) to[l * pixels + p] = block[p * block_lanes + l];
}

/// What the compiler knows about a network whose activations are kept as `Element`.
template <architecture Arch, class Taps, class Element = float>
struct NetworkLayout {
  using Stored = Element;
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr auto taps = tap_info_of<Arch, Taps>();
  static constexpr int reach = taps.back().position;
  static constexpr bool has_classifier = reach >= position_of_embedding(net);
  static constexpr std::size_t features = static_cast<std::size_t>(features_up_to(net, reach));
  static constexpr auto places = packed_places<features, Stored>(net, taps);
  using Memory = detail::Memory<features>;

  static constexpr Memory memory(const Extent& picture, std::int64_t tasks) {
    return memory_of<features, Stored>(net, taps, picture, tasks);
  }
  /// Index of the tap at a position, or -1.
  static constexpr int tap_index(int position) {
    for (std::size_t i = 0; i < taps.size(); ++i)
      if (taps[i].position == position) return static_cast<int>(i);
    return -1;
  }
};

/// One picture through a network.
template <class Layout>
struct PictureJob {
  using Stored = typename Layout::Stored;

  const float* weights;
  Picture picture;
  std::array<Output, Layout::taps.size()> outputs;
  float* arena;
  const typename Layout::Memory& memory;
  Stored* pooled;  ///< This picture's place in the classifier's input.
  std::ptrdiff_t pooled_block_stride;

  /// Activations `offset` floats behind the beginning.
  Stored* stored_at(std::int64_t offset) const { return reinterpret_cast<Stored*>(arena + offset); }
  float* scratch_of(std::int64_t task) const {
    return arena + memory.tasks + task * memory.task_floats;
  }
  Stored* scaled_of(std::int64_t task) const { return reinterpret_cast<Stored*>(scratch_of(task)); }
  /// The sum over pixels of each channel, as far as the task saw them.
  float* sums_of(std::int64_t task) const { return arena + memory.sums + task * memory.sum_floats; }
  Stored* means(const Threads& threads) const {
    return reinterpret_cast<Stored*>(sums_of(threads.count));
  }
  Stored* squeezed(const Threads& threads) const {
    return reinterpret_cast<Stored*>(sums_of(threads.count + 1));
  }
  float* gates(const Threads& threads) const { return sums_of(threads.count + 2); }
};

/// The classifier, for a batch of pooled features.
template <class Stored>
struct ClassifierJob {
  const float* weights;
  std::int64_t batch;
  const Stored* pooled;
  Stored* hidden;
  float* logits;
};

}  // namespace mnv3::detail
