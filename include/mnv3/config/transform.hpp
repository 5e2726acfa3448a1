// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <ratio>
#include <stdexcept>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/channels.hpp>

// torchvision's builder arguments, as functions of tables and, below, as architectures made of
// others. Everything else a builder takes is a member to override:
//
//   struct Mine : mnv3::SmallArch {
//     static constexpr int num_classes = 10;
//   };

namespace mnv3 {

namespace detail {

/// Index of the first row of the last stage: the last row with stride 2 (C4 in the paper's tables).
template <std::size_t N>
constexpr std::size_t tail_of(const std::array<InvertedResidualConfig, N>& blocks) {
  for (std::size_t i = N; i-- > 0;)
    if (blocks[i].stride == 2) return i;
  throw std::invalid_argument("mnv3: no row of the table has stride 2, so it has no last stage");
}

}  // namespace detail

/// Dilates the last stage by 2 instead of striding, so that it stays at half the output stride. The
/// first row keeps stride 2 *and* gets dilation 2, so the convolution runs at stride 1.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L227, L246-248, L261-263 (`dilated=True`).
template <std::size_t N>
constexpr auto dilated(std::array<InvertedResidualConfig, N> blocks) {
  for (std::size_t i = detail::tail_of(blocks); i < N; ++i) blocks[i].dilation = 2;
  return blocks;
}

/// Halves the channels of the last stage, from the output of its first row on.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L226, L246-248, L261-263 (`reduced_tail=True`).
template <std::size_t N>
constexpr auto reduced_tail(std::array<InvertedResidualConfig, N> blocks) {
  const std::size_t tail = detail::tail_of(blocks);
  for (std::size_t i = tail; i < N; ++i) {
    if (i > tail) {
      blocks[i].input_channels /= 2;
      blocks[i].expanded_channels /= 2;
    }
    blocks[i].out_channels /= 2;
  }
  return blocks;
}

/// Multiplies a channel count and rounds it by torchvision's rule.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L47-49 (`adjust_channels`).
constexpr int width_mult(int channels, double width) { return make_divisible(channels * width); }

/// Multiplies all channel counts of a table, each rounded on its own (torchvision's rule; the TF,
/// timm and paper rules round the expansion differently and give other networks).
/// Source  torchvision 0.14.1 models/mobilenetv3.py L38-41 (`width_mult`).
template <std::size_t N>
constexpr auto width_mult(std::array<InvertedResidualConfig, N> blocks, double width) {
  for (InvertedResidualConfig& row : blocks) {
    row.input_channels = width_mult(row.input_channels, width);
    row.expanded_channels = width_mult(row.expanded_channels, width);
    row.out_channels = width_mult(row.out_channels, width);
  }
  return blocks;
}

/// `Arch` with torchvision's `dilated=True`.
template <architecture Arch>
struct Dilated : Arch {
  static constexpr auto blocks = mnv3::dilated(Arch::blocks);
};

/// `Arch` with torchvision's `reduced_tail=True`: the classifier's hidden layer is halved as well.
template <architecture Arch>
struct ReducedTail : Arch {
  static constexpr auto blocks = mnv3::reduced_tail(Arch::blocks);
  static constexpr int last_channel = detail::settings_of<Arch>().last_channel / 2;
};

/// `Arch` with torchvision's `width_mult`, given as a ratio: `WidthMult<LargeArch, std::ratio<3,
/// 4>>`. Together with `ReducedTail` it must be the outer one, since torchvision rounds last.
template <architecture Arch, class Width>
struct WidthMult : Arch {
  static constexpr double width = static_cast<double>(Width::num) / Width::den;
  static constexpr auto blocks = mnv3::width_mult(Arch::blocks, width);
  static constexpr int last_channel =
      mnv3::width_mult(detail::settings_of<Arch>().last_channel, width);
};

}  // namespace mnv3
