// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <ratio>
#include <stdexcept>

#include <mnv3/config/activation.hpp>
#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/channels.hpp>
#include <mnv3/config/depth.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/ratio.hpp>
#include <mnv3/config/settings.hpp>

// torchvision's builder arguments, and those of other families, as functions of tables and, below,
// as architectures made of others. Everything else that a builder takes is a setting:
//
//   struct Mine : mnv3::SmallArch {
//     static constexpr mnv3::Settings settings{.num_classes = 10};
//   };

namespace mnv3 {

namespace config::detail {

/// Index of the first row of the last stage: the last row with a stride (C4 in the paper's tables).
template <std::size_t N>
constexpr std::size_t tail_of(const std::array<InvertedResidualConfig, N>& blocks) {
  for (std::size_t i = N; i-- > 0;)
    if (blocks[i].stride != 1) return i;
  throw std::invalid_argument("mnv3: no row of the table has a stride, so it has no last stage");
}

/// The stages of the rows of `Arch`, for tables in which they would not be seen any more.
template <architecture Arch>
inline constexpr auto stages_of = [] {
  std::array<int, std::size(Arch::blocks)> stages{};
  for (std::size_t i = 0; i < stages.size(); ++i)
    stages[i] = stage_of(definition_of<Arch>, static_cast<int>(i) + 1);
  return stages;
}();

}  // namespace config::detail

/// Dilates the last stage by 2 instead of striding, so that it stays at half the output stride. The
/// first row keeps stride 2 *and* gets dilation 2, so the convolution runs at stride 1.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L227, L246-248, L261-263 (`dilated=True`).
template <std::size_t N>
constexpr auto dilated(std::array<InvertedResidualConfig, N> blocks) {
  for (std::size_t i = config::detail::tail_of(blocks); i < N; ++i) blocks[i].dilation = 2;
  return blocks;
}

/// Halves the channels of the last stage, from the output of its first row on.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L226, L246-248, L261-263 (`reduced_tail=True`).
template <std::size_t N>
constexpr auto reduced_tail(std::array<InvertedResidualConfig, N> blocks) {
  const std::size_t tail = config::detail::tail_of(blocks);
  for (std::size_t i = tail; i < N; ++i) {
    if (i > tail) {
      blocks[i].input_channels /= 2;
      blocks[i].expanded_channels /= 2;
    }
    blocks[i].out_channels /= 2;
  }
  return blocks;
}

/// How a width multiplier is applied. Other rules give other networks: no two of them share the
/// weights of all widths.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L38-49; arXiv:1905.02244 Table 9; Keras
///         applications/mobilenet_v3.py `_inverted_res_block`; timm 1.0.29 models/mobilenetv3.py
///         L640-670.
enum class WidthRule {
  torchvision,  ///< Every count is rounded on its own, the hidden layer's too.
  paper,        ///< An expansion keeps its ratio to the rounded input. The hidden layer stays.
  tf,           ///< As `paper`, but the stem stays, and the hidden layer grows with widths above 1.
  timm,         ///< As `paper`, but below 0.75 the stem stays.
};

constexpr bool scales_stem(WidthRule rule, double width) {
  return rule != WidthRule::tf && (rule != WidthRule::timm || width >= 0.75);
}

constexpr bool scales_hidden(WidthRule rule, double width) {
  return rule == WidthRule::torchvision || (rule == WidthRule::tf && width > 1);
}

/// Multiplies all channel counts of a table.
template <std::size_t N>
constexpr auto width_mult(std::array<InvertedResidualConfig, N> blocks, double width,
                          WidthRule rule = WidthRule::torchvision) {
  for (std::size_t i = 0; i < N; ++i) {
    const InvertedResidualConfig from = adjusted(blocks[i]);
    InvertedResidualConfig& row = blocks[i] = from;
    if (i > 0 || scales_stem(rule, width))
      row.input_channels = width_mult(from.input_channels, width);
    row.out_channels = width_mult(from.out_channels, width);
    if (rule == WidthRule::torchvision) {
      row.expanded_channels = width_mult(from.expanded_channels, width);
    } else if (has_expansion(from)) {
      row.expanded_channels = make_divisible(static_cast<double>(row.input_channels) *
                                             from.expanded_channels / from.input_channels);
      row.expands_always |= row.expanded_channels == row.input_channels;
    } else {
      row.expanded_channels = row.input_channels;
    }
  }
  return blocks;
}

/// How an output stride below the table's own is reached.
enum class DilationRule {
  /// A row that would stride is dilated itself; it still has no residual. RVM's and mmseg's, too.
  torchvision,
  timm,         ///< A row that would stride has the dilation of those before it.
};

/// Dilates instead of striding where the output stride would be above `stride`. The dilation of
/// what follows doubles each time.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L82, L246-248, L261-263, and mmsegmentation
///         mmseg/models/backbones/mobilenet_v3.py for stride 8; timm 1.0.29
///         models/_efficientnet_builder.py L491-503.
///
/// Errors  std::invalid_argument if strides of a row differ between the axes.
template <std::size_t N>
constexpr auto with_output_stride(std::array<InvertedResidualConfig, N> blocks, int stride,
                                  DilationRule rule) {
  int reached = stem_stride.height;
  int dilation = 1;
  for (InvertedResidualConfig& row : blocks) {
    if (!row.stride.is_square())
      throw std::invalid_argument("mnv3: the strides of a row differ between the axes, so that no "
                                  "one output stride can be reached");
    const int before = dilation;
    if (row.stride == 2 && reached < stride)
      reached *= 2;
    else if (row.stride == 2)
      dilation *= 2;
    row.dilation = dilation;
    if (dilation == before || rule == DilationRule::torchvision) continue;
    row.stride = 1;
    row.dilation = before;
  }
  return blocks;
}

/// Squeeze-and-excitation, hard-swish and 5x5 kernels become nothing, ReLU and 3x3.
/// Source  Keras applications/mobilenet_v3.py (`minimalistic`).
template <std::size_t N>
constexpr auto minimalistic(std::array<InvertedResidualConfig, N> blocks) {
  for (InvertedResidualConfig& row : blocks) {
    row.kernel = 3;
    row.use_se = false;
    row.activation = Activation::RE;
  }
  return blocks;
}

/// One activation in place of another.
template <std::size_t N>
constexpr auto with_activation(std::array<InvertedResidualConfig, N> blocks, Activation from,
                               Activation to) {
  for (InvertedResidualConfig& row : blocks)
    for (Activation* activation : {&row.activation, &row.projection_activation})
      if (*activation == from) *activation = to;
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
  static constexpr Settings settings{.last_channel = definition_of<Arch>.settings.last_channel / 2};
};

/// `Arch` with a width multiplier, given as a ratio: `WidthMult<LargeArch, std::ratio<3, 4>>`.
/// `closing_channels` stay where they are given; else they are six times the new last block's.
/// Together with `ReducedTail` it must be the outer one, since torchvision rounds last.
template <architecture Arch, class Width, WidthRule Rule = WidthRule::torchvision>
struct WidthMult : Arch {
  static constexpr auto blocks =
      mnv3::width_mult(Arch::blocks, config::detail::value_of<Width>, Rule);
  static constexpr Settings settings{
      .last_channel = scales_hidden(Rule, config::detail::value_of<Width>)
                          ? mnv3::width_mult(definition_of<Arch>.settings.last_channel,
                                             config::detail::value_of<Width>)
                          : definition_of<Arch>.settings.last_channel.value(),
      .stages = config::detail::stages_of<Arch>};
};

/// `Arch` with a depth multiplier, given as a ratio: `DepthMult<LargeArch, std::ratio<6, 5>>`.
/// Together with `WidthMult` it must be the inner one. timm scales the closing convolutions, too.
template <architecture Arch, class Depth>
struct DepthMult : Arch {
  static constexpr auto blocks = config::detail::deepened<Arch, Depth>;
  static constexpr Settings settings{.closing_layers = config::detail::deepened_count<Depth>(
                                         definition_of<Arch>.settings.closing_layers),
                                     .stages = config::detail::deepened_stages<Arch, Depth>};
};

namespace config::detail {

/// The rows of `OutputStride`. A function refuses them, as a class that does not compile is no
/// architecture, either, to clang.
template <architecture Arch, int Stride, DilationRule Rule>
constexpr auto rows_with_output_stride() {
  static_assert(Stride == 8 || Stride == 16 || Stride == 32,
                "mnv3: the output stride must be 8, 16 or 32");
  static_assert(std::ranges::all_of(Arch::blocks, [](const auto& r) { return r.dilation == 1; }),
                "mnv3: the table is dilated already; give OutputStride the plain architecture");
  constexpr bool is_square =
      std::ranges::all_of(Arch::blocks, [](const auto& row) { return row.stride.is_square(); });
  static_assert(
      is_square,
      "mnv3: the table has strides that differ between the axes; say its dilations there");
  if constexpr (is_square)
    return mnv3::with_output_stride(Arch::blocks, Stride, Rule);
  else
    return Arch::blocks;
}

}  // namespace config::detail

/// `Arch`, whose table must not be dilated yet, with an output stride of 8 or 16, or of 32 as it
/// is: `OutputStride<LargeArch, 8, DilationRule::timm>`.
template <architecture Arch, int Stride, DilationRule Rule>
struct OutputStride : Arch {
  static constexpr auto blocks = config::detail::rows_with_output_stride<Arch, Stride, Rule>();
  static constexpr Settings settings{.stages = config::detail::stages_of<Arch>};
};

/// `Arch` without squeeze-and-excitation, hard-swish and 5x5 kernels.
template <architecture Arch>
struct Minimalistic : Arch {
  static constexpr auto blocks = mnv3::minimalistic(Arch::blocks);
  static constexpr Settings settings{.activation = Activation::RE};
};

/// `Arch` with the activation `To` wherever it has `From`, in its blocks and outside of them:
/// `WithActivation<LargeArch, Activation::HS, Activation::RE6>` is what people train who cannot
/// have hard-swish. Nothing in a file of weights tells the two apart.
template <architecture Arch, Activation From, Activation To>
struct WithActivation : Arch {
  static constexpr auto blocks = mnv3::with_activation(Arch::blocks, From, To);
  static constexpr Settings settings{
      .activation = definition_of<Arch>.settings.activation == From
                        ? To
                        : definition_of<Arch>.settings.activation.value()};
};

/// `Arch` with another number of classes; without one, with as many as its networks are told when
/// they are made: `MobileNetV3<WithClasses<SmallArch>> net(37)`.
template <architecture Arch, int Classes = dynamic_classes>
struct WithClasses : Arch {
  static constexpr Settings settings{.num_classes = Classes};
};

/// `Arch` with stages that neither learn nor move, batch norm included, whatever `train()` says:
/// `Frozen<SmallArch, stem, C1, C2>`. Its weights are those of `Arch`.
template <architecture Arch, Stage... Stages>
struct Frozen : Arch {
  static constexpr Settings settings{
      .frozen = definition_of<Arch>.settings.frozen.value() | StageSet{Stages...}};
};

}  // namespace mnv3
