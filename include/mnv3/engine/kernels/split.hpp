// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

// How rows and blocks of channels are divided among tasks.

namespace mnv3::engine {

/// Multiplications from which a product of one pixel is worth asking other threads.
inline constexpr std::int64_t parallel_from = 1 << 17;

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

}  // namespace mnv3::engine
