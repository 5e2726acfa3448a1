// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/channels.hpp>
#include <mnv3/config/geometry.hpp>

// How a depth multiplier repeats the rows of a table.

namespace mnv3::config::detail {

/// Rows of one stage that are written once in timm's notation: the first one may stride and change
/// the number of channels, the others repeat it. `times` is how often they are repeated.
struct RepeatedRow {
  std::size_t first;
  std::int64_t times;
};

/// Whether `next` repeats `row` in timm's notation: `ir_r2_k5_s2_e6_c160` gives two such rows.
constexpr bool repeats(const InvertedResidualConfig& row, const InvertedResidualConfig& next) {
  const auto ratio = [](const InvertedResidualConfig& a, const InvertedResidualConfig& b) {
    return std::int64_t{a.expanded_channels} * b.input_channels;
  };
  return next.stride == 1 && next.dilation == row.dilation && next.kernel == row.kernel &&
         next.out_channels == row.out_channels && next.input_channels == row.out_channels &&
         next.use_se == row.use_se &&
         next.activation == row.activation && has_expansion(next) == has_expansion(row) &&
         next.projection_activation == row.projection_activation && next.residual == row.residual &&
         ratio(row, next) == ratio(next, row);
}

/// `count` of the rows of a stage, or of the closing convolutions, multiplied and rounded up.
template <class Depth>
constexpr int deepened_count(std::int64_t count) {
  return static_cast<int>((count * Depth::num + Depth::den - 1) / Depth::den);
}

/// a / b to the nearest integer, ties to the even one, as Python's `round` has it.
constexpr std::int64_t rounded_ratio(std::int64_t a, std::int64_t b) {
  const std::int64_t twice = 2 * (a % b);
  return a / b + (twice > b || (twice == b && a / b % 2 == 1));
}

/// The rows with their repetitions multiplied: what is left over of a stage falls to its last rows
/// first, which are the least likely to have one of their own.
/// Source  timm 1.0.29 models/_efficientnet_builder.py `_scale_stage_depth` (`depth_trunc='ceil'`).
template <std::size_t Most, class Depth>
struct DeepenedRows {
  std::array<InvertedResidualConfig, Most> rows{};
  std::array<int, Most> stages{};  ///< Of each row.
  std::size_t size = 0;

  constexpr explicit DeepenedRows(const Definition& net) {
    const auto count = static_cast<int>(net.blocks.size());
    for (int begin = 1; begin <= count;) {
      int end = begin + 1;
      while (end <= count && !begins_stage(net, end)) ++end;
      add_stage(net.blocks.subspan(static_cast<std::size_t>(begin - 1),
                                   static_cast<std::size_t>(end - begin)));
      begin = end;
      ++stage_;
    }
  }

 private:
  constexpr void add_stage(std::span<const InvertedResidualConfig> stage) {
    std::array<RepeatedRow, Most> written{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < stage.size(); ++i) {
      if (count > 0 && repeats(stage[written[count - 1].first], stage[i]))
        ++written[count - 1].times;
      else
        written[count++] = {i, 1};
    }
    auto left = static_cast<std::int64_t>(stage.size());
    std::int64_t deepened = deepened_count<Depth>(left);
    for (std::size_t i = count; i-- > 0;) {
      const std::int64_t times = written[i].times;
      written[i].times = std::max<std::int64_t>(1, rounded_ratio(times * deepened, left));
      left -= times;
      deepened -= written[i].times;
    }
    for (std::size_t i = 0; i < count; ++i) add(stage[written[i].first], written[i].times);
  }

  constexpr void add(InvertedResidualConfig row, std::int64_t times) {
    for (std::int64_t i = 0; i < times; ++i) {
      if (i > 0) {
        row.expanded_channels = has_expansion(row)
                                    ? make_divisible(static_cast<double>(row.out_channels) *
                                                     row.expanded_channels / row.input_channels)
                                    : row.out_channels;
        row.input_channels = row.out_channels;
        row.stride = 1;
      }
      stages[size] = stage_;
      rows[size++] = row;
    }
  }

  int stage_ = 0;
};

template <architecture Arch, class Depth>
inline constexpr auto deepened_rows = [] {
  constexpr std::size_t most =  // each of n stages is rounded up
      definition_of<Arch>.blocks.size() *
      static_cast<std::size_t>((Depth::num + Depth::den - 1) / Depth::den + 1);
  return DeepenedRows<most, Depth>(definition_of<Arch>);
}();

/// The first values, as many as there are rows.
template <architecture Arch, class Depth, class Value, std::size_t Most>
constexpr auto of_deepened(const std::array<Value, Most>& values) {
  std::array<Value, deepened_rows<Arch, Depth>.size> result{};
  std::ranges::copy_n(values.begin(), result.size(), result.begin());
  return result;
}

/// The table of `Arch`, deepened, and the stages of its rows.
template <architecture Arch, class Depth>
inline constexpr auto deepened = of_deepened<Arch, Depth>(deepened_rows<Arch, Depth>.rows);
template <architecture Arch, class Depth>
inline constexpr auto deepened_stages = of_deepened<Arch, Depth>(deepened_rows<Arch, Depth>.stages);

}  // namespace mnv3::config::detail
