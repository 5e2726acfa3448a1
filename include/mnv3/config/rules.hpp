// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/axis.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/channel_values.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/config/stages.hpp>
#include <mnv3/config/taps.hpp>

// The only place that knows what is legal. One linear pass over values serves the compiler
// (diagnostics.hpp), a run-time caller and the tests.

namespace mnv3 {

// About the struct itself: what no value can tell.
#define MNV3_DECLARATION_RULES(RULE)                                                               \
  RULE(is_architecture,                                                                            \
       "an architecture is a struct, not inside a function, that has `static constexpr auto "      \
       "blocks = std::to_array<mnv3::InvertedResidualConfig>({...})`")                             \
  RULE(members_are_static,                                                                         \
       "an architecture has nothing but static members: write `static constexpr` before each, "    \
       "and no constructor")                                                                       \
  RULE(settings_are_settings,                                                                      \
       "`settings` must be `static constexpr mnv3::Settings settings{...}`")                       \
  RULE(settings_are_known,                                                                         \
       "`settings` must compile and be `static constexpr`")                                        \
  RULE(settings_from_one_base,                                                                     \
       "only one base class of an architecture may have `settings`")                               \
  RULE(members_in_settings,                                                                        \
       "this member belongs into `static constexpr mnv3::Settings settings{.num_classes = 10}`, "  \
       "under the name that `mnv3::Settings` has for it")

// Rules about a row name it; the others are about the settings (doubles are reported in
// thousandths).
#define MNV3_ARCHITECTURE_RULES(RULE)                                                              \
  RULE(has_blocks, "`blocks` needs at least one row")                                              \
  RULE(width_mult_positive, "`width_mult` of a row must be above 0 (thousandths below)")           \
  RULE(channels_in_range, "the channel counts of a row must be from 1 to 1048576")                 \
  RULE(in_follows_out, "`input_channels` of a row must equal `out_channels` of the row before it") \
  RULE(kernel_is_odd, "`kernel` must be odd and at least 1, so that padding keeps the size")       \
  RULE(stride_is_1_or_2, "`stride` must be 1 or 2 along each axis")                                \
  RULE(dilation_positive, "`dilation` must be at least 1")                                         \
  RULE(expand_not_below_in, "`expanded_channels` must not be smaller than `input_channels`")       \
  RULE(input_channels_positive, "`input.channels` must be at least 1")                             \
  RULE(normalization_fits,                                                                         \
       "`input.mean` and `input.std` need one value for each of `input.channels`, or none")        \
  RULE(std_positive, "the values of `input.std` must be above 0 (thousandths below)")              \
  RULE(num_classes_positive, "`num_classes` must be at least 1, or `mnv3::dynamic_classes`")       \
  RULE(last_channel_positive, "`last_channel` must be at least 1")                                 \
  RULE(dropout_is_probability, "`dropout` must be from 0 to 1 (thousandths below)")                \
  RULE(eps_positive, "`norm_eps` must be above 0 (thousandths below)")                             \
  RULE(momentum_is_fraction, "`norm_momentum` must be from 0 to 1 (thousandths below)")            \
  RULE(groups_divide_channels,                                                                     \
       "`norm_groups` must be at least 1 and divide all channels that group norm follows")         \
  RULE(squeeze_divisor_positive, "`squeeze.divisor` must be at least 1")                           \
  RULE(squeeze_ratio_positive, "`squeeze.ratio` must be at least 1")                               \
  RULE(closing_layers_in_range, "`closing_layers` must be from 0 to 1024")                         \
  RULE(closing_channels_in_range,                                                                  \
       "`closing_channels` must be from 1 to 1048576, or not given")                               \
  RULE(stages_fit_rows,                                                                            \
       "`stages` needs one number for each row, from 0 on, growing by at most 1, or none")          \
  RULE(frozen_exists,                                                                              \
       "`frozen` must name stages that the network has (numbers below: 0 is stem, 1 is C1)")

#define MNV3_TAP_RULES(RULE)                                                                      \
  RULE(feature_exists, "`after<I>` must name one of the network's features")                      \
  RULE(stride_exists, "`at_stride<S>` and `first_at_stride<S>` must name a stride a feature has") \
  RULE(expansion_exists, "`expansion<I>` must name a block that has an expansion")                \
  RULE(taps_differ, "two taps name the same output: remove one of them")                          \
  RULE(taps_ascend, "taps must be in the order in which the network computes them")

// What the table no longer tells where the blocks are modules of their own.
#define MNV3_BLOCK_RULES(RULE)                                                                     \
  RULE(blocks_known,                                                                               \
       "costs, names, `expansion<I>`, `deploy` and `Engine` need blocks that the table describes, " \
       "but this architecture has a `block` of its own")

// What is not known before the network is made.
#define MNV3_CLASS_RULES(RULE)                                                                     \
  RULE(classes_known,                                                                              \
       "costs, names, `Engine` and `deploy` from a file need the number of classes in the type: "  \
       "give `num_classes`, or deploy a network that has been made and loaded")

// What a network can be asked for, to freeze or to replace it.
#define MNV3_PART_RULES(RULE)                                                                      \
  RULE(stage_exists, "`stages<...>` must name stages that this network has, up to its last tap")   \
  RULE(stage_thaws, "these stages are frozen in the type, by `Frozen<...>`, and cannot be thawed") \
  RULE(logits_exist,                                                                               \
       "a classifier can only be replaced in a network that has one: its last tap must be "        \
       "`logits`, or it must have no taps")

// What our own kernels cannot run.
#define MNV3_KERNEL_RULES(RULE)                                                                    \
  RULE(kernels_run_norm,                                                                           \
       "our kernels, and so `Engine`, `Precision::bfloat16` and `arena_bytes`, have no group "     \
       "norm: deploy without them, on LibTorch's operators")

// Where the same weights would give other numbers than in the network that they were trained in.
#define MNV3_CHECKPOINT_RULES(RULE)                                                                \
  RULE(same_rows, "the checkpoint's network must have as many rows as this one")                   \
  RULE(same_channels, "the checkpoint's network must have the same channels in each row")          \
  RULE(same_kernels, "the checkpoint's network must have the same kernel in each row")             \
  RULE(same_strides, "the checkpoint's network must have the same stride in each row")             \
  RULE(same_dilations, "the checkpoint's network must have the same dilation in each row")         \
  RULE(same_residuals, "the checkpoint's network must have residuals in the same rows")            \
  RULE(same_activations, "the checkpoint's network must have the same activations")                \
  RULE(same_squeezes, "the checkpoint's network must have the same squeeze-and-excitation")        \
  RULE(same_head, "the checkpoint's network must have the same layers after the blocks")           \
  RULE(same_pooling, "the checkpoint's network must have the same `pooling`")                      \
  RULE(same_norm, "the checkpoint's network must have the same `norm`, of the same groups")        \
  RULE(same_padding, "the checkpoint's network must have the same `padding`")                      \
  RULE(same_eps, "the checkpoint's network must have the same `norm_eps` (millionths below)")

/// Every rule; `none` is the verdict on a legal network.
enum class Rule {
  none,
#define MNV3_RULE(name, sentence) name,
  MNV3_DECLARATION_RULES(MNV3_RULE) MNV3_ARCHITECTURE_RULES(MNV3_RULE) MNV3_TAP_RULES(MNV3_RULE)
      MNV3_BLOCK_RULES(MNV3_RULE) MNV3_CLASS_RULES(MNV3_RULE) MNV3_PART_RULES(MNV3_RULE)
          MNV3_KERNEL_RULES(MNV3_RULE) MNV3_CHECKPOINT_RULES(MNV3_RULE)
#undef MNV3_RULE
};

/// What is wrong first, if anything.
struct Verdict {
  Rule rule = Rule::none;
  int index = -1;    ///< The row or the tap, counted from 0; -1: about the settings.
  int got = 0;       ///< What was given.
  int expected = 0;  ///< What would be legal: the only value, or the nearest one.

  constexpr bool ok() const { return rule == Rule::none; }
  friend constexpr bool operator==(const Verdict&, const Verdict&) = default;
};

namespace config::detail {

constexpr int thousandths(double value) {
  if (value != value) return 0;  // no number: the sentence has to do
  return static_cast<int>(std::clamp(value, -1e6, 1e6) * 1000);
}
constexpr int millionths(double value) {  // rounded, as 1e-5 is no float of base two
  return static_cast<int>(std::clamp(value, 0.0, 1e3) * 1e6 + 0.5);
}

}  // namespace config::detail

/// The verdict on one row that follows `previous_out` channels.
constexpr Verdict check_row(const InvertedResidualConfig& row, int index, int previous_out) {
  if (!(row.width_mult > 0))
    return {Rule::width_mult_positive, index, config::detail::thousandths(row.width_mult), 1};
  for (const int channels : {row.input_channels, row.expanded_channels, row.out_channels})
    if (channels < 1 || channels > most_channels)
      return {Rule::channels_in_range, index, channels, channels < 1 ? 1 : most_channels};
  if (row.input_channels != previous_out)
    return {Rule::in_follows_out, index, row.input_channels, previous_out};
  if (row.kernel < 1 || row.kernel % 2 == 0)
    return {Rule::kernel_is_odd, index, row.kernel, std::max(1, row.kernel + 1)};
  for (const int stride : {row.stride.height, row.stride.width})
    if (stride < 1 || stride > 2)
      return {Rule::stride_is_1_or_2, index, stride, stride < 1 ? 1 : 2};
  if (row.dilation < 1) return {Rule::dilation_positive, index, row.dilation, 1};
  if (row.expanded_channels < row.input_channels)
    return {Rule::expand_not_below_in, index, row.expanded_channels, row.input_channels};
  return {};
}

/// The verdict on what an architecture says besides its table.
constexpr Verdict check_settings(const Settings& s) {
  using config::detail::thousandths;
  const int channels = s.input.channels;
  if (channels < 1) return {Rule::input_channels_positive, -1, channels, 1};
  const bool normalizes = !s.input.mean.empty() || !s.input.std.empty();
  for (const ChannelValues& values : {s.input.mean, s.input.std})
    if (const int n = static_cast<int>(values.size()); n != (normalizes ? channels : 0))
      return {Rule::normalization_fits, -1, n, channels};
  for (const double value : s.input.std)
    if (!(value > 0)) return {Rule::std_positive, -1, thousandths(value), 1};
  if (s.num_classes < 1 && s.num_classes != dynamic_classes)
    return {Rule::num_classes_positive, -1, s.num_classes, 1};
  if (s.last_channel < 1) return {Rule::last_channel_positive, -1, s.last_channel, 1};
  if (!(s.dropout >= 0 && s.dropout <= 1))
    return {Rule::dropout_is_probability, -1, thousandths(s.dropout), s.dropout < 0 ? 0 : 1000};
  if (!(s.norm_eps > 0)) return {Rule::eps_positive, -1, thousandths(s.norm_eps), 1};
  if (!(s.norm_momentum >= 0 && s.norm_momentum <= 1))
    return {Rule::momentum_is_fraction, -1, thousandths(s.norm_momentum),
            s.norm_momentum < 0 ? 0 : 1000};
  if (s.norm_groups < 1) return {Rule::groups_divide_channels, -1, s.norm_groups, 1};
  if (s.squeeze.divisor < 1) return {Rule::squeeze_divisor_positive, -1, s.squeeze.divisor, 1};
  if (s.squeeze.ratio < 1) return {Rule::squeeze_ratio_positive, -1, s.squeeze.ratio, 1};
  if (s.closing_layers < 0 || s.closing_layers > 1024)
    return {Rule::closing_layers_in_range, -1, s.closing_layers, s.closing_layers < 0 ? 0 : 1024};
  if (const int n = s.closing_channels;
      s.closing_channels.is_given() && (n < 1 || n > most_channels))
    return {Rule::closing_channels_in_range, -1, n, n < 1 ? 1 : most_channels};
  return {};
}

/// The verdict on the stages that an architecture gives for its `rows` rows.
constexpr Verdict check_stages(std::span<const int> stages, int rows) {
  if (stages.empty()) return {};
  if (const int n = static_cast<int>(stages.size()); n != rows)
    return {Rule::stages_fit_rows, -1, n, rows};
  int before = 0;
  for (int i = 0; i < rows; ++i) {
    const int stage = stages[static_cast<std::size_t>(i)];
    const int most = i == 0 ? 0 : before + 1;
    if (stage < before || stage > most)
      return {Rule::stages_fit_rows, i, stage, stage < before ? before : most};
    before = stage;
  }
  return {};
}

/// The verdict on the groups of group norm in a network that is legal otherwise. `expected` is a
/// number of groups that would do.
constexpr Verdict check_groups(const Definition& net) {
  if (net.settings.norm != Norm::group) return {};
  const int groups = net.settings.norm_groups;
  Verdict verdict;
  const auto divides = [&](int index, int channels) {
    if (verdict.ok() && channels % groups != 0)
      verdict = {Rule::groups_divide_channels, index, groups, std::gcd(groups, channels)};
  };
  const int rows = static_cast<int>(net.blocks.size());
  for (int i = 0; i < rows; ++i) {
    const InvertedResidualConfig& row = row_of(net, i + 1);
    if (i == 0) divides(i, row.input_channels);  // the stem's
    if (net.has_own_block) continue;             // which may have other norms, or none
    for (const int channels : {row.input_channels, row.expanded_channels, row.out_channels})
      divides(i, channels);
  }
  if (net.settings.closing_layers > 0) divides(-1, pooled_channels(net));
  return verdict;
}

/// The verdict on the stages that an architecture freezes.
constexpr Verdict check_frozen(const Definition& net) {
  for (const Stage stage : all_stages)
    if (net.settings.frozen.value().contains(stage) && !has_stage(net, stage))
      return {Rule::frozen_exists, -1, static_cast<int>(stage), static_cast<int>(last_stage(net))};
  return {};
}

/// The verdict on an architecture.
constexpr Verdict check(const Definition& net) {
  if (net.blocks.empty()) return {Rule::has_blocks, -1, 0, 1};
  int previous_out = net.blocks.front().input_channels;
  for (int i = 0; i < static_cast<int>(net.blocks.size()); ++i) {
    const InvertedResidualConfig& row = row_of(net, i + 1);
    if (const Verdict verdict = check_row(row, i, previous_out); !verdict.ok()) return verdict;
    previous_out = row.out_channels;
  }
  if (const Verdict verdict = check_settings(net.settings); !verdict.ok()) return verdict;
  if (const Verdict verdict = check_groups(net); !verdict.ok()) return verdict;
  if (const Verdict verdict = check_frozen(net); !verdict.ok()) return verdict;
  return check_stages(net.settings.stages, static_cast<int>(net.blocks.size()));
}

/// The verdict on a table with default settings.
constexpr Verdict check(std::span<const InvertedResidualConfig> blocks) {
  return check(Definition{blocks});
}

/// The verdict on the taps of a legal architecture.
constexpr Verdict check_taps(const Definition& net, std::span<const TapRequest> requests) {
  int previous = -1;
  for (int i = 0; i < static_cast<int>(requests.size()); ++i) {
    const TapRequest& request = requests[static_cast<std::size_t>(i)];
    const int position = position_of(net, request);
    const int got = request.value + request.stride.height;  // one of them is 0
    if (position < 0) {
      const Rule rule = request.kind == TapRequest::Kind::after       ? Rule::feature_exists
                        : request.kind == TapRequest::Kind::expansion ? Rule::expansion_exists
                                                                      : Rule::stride_exists;
      return {rule, i, got, 0};
    }
    if (net.has_own_block && request.kind == TapRequest::Kind::expansion)
      return {Rule::blocks_known, i, got, 0};
    if (position == previous) return {Rule::taps_differ, i, got, 0};
    if (position < previous) return {Rule::taps_ascend, i, got, 0};
    previous = position;
  }
  return {};
}

/// The verdict on weights of the legal `checkpoint` in the legal `net`: whether they mean the same
/// there. What only training sees, the number of classes, taps and what the input is, may differ.
/// `got` is what `net` has, `expected` what the checkpoint's network has.
constexpr Verdict check_checkpoint(const Definition& net, const Definition& checkpoint) {
  const Settings& ours = net.settings;
  const Settings& theirs = checkpoint.settings;
  const int rows = static_cast<int>(net.blocks.size());
  if (const int n = static_cast<int>(checkpoint.blocks.size()); n != rows)
    return {Rule::same_rows, -1, rows, n};
  Verdict verdict;
  const auto same = [&](Rule rule, int index, int got, int expected) {
    if (verdict.ok() && got != expected) verdict = {rule, index, got, expected};
  };
  for (int i = 0; i < rows; ++i) {
    const InvertedResidualConfig& a = row_of(net, i + 1);
    const InvertedResidualConfig& b = row_of(checkpoint, i + 1);
    same(Rule::same_channels, i, a.input_channels, b.input_channels);
    same(Rule::same_channels, i, a.expanded_channels, b.expanded_channels);
    same(Rule::same_channels, i, has_expansion(a), has_expansion(b));
    same(Rule::same_channels, i, a.out_channels, b.out_channels);
    same(Rule::same_kernels, i, a.kernel, b.kernel);
    for (const Axis axis : {Axis::height, Axis::width})
      same(Rule::same_strides, i, depthwise_stride(a).along(axis), depthwise_stride(b).along(axis));
    same(Rule::same_dilations, i, a.dilation, b.dilation);
    same(Rule::same_residuals, i, has_residual(a), has_residual(b));
    same(Rule::same_activations, i, static_cast<int>(a.activation), static_cast<int>(b.activation));
    same(Rule::same_activations, i, static_cast<int>(a.projection_activation),
         static_cast<int>(b.projection_activation));
    same(Rule::same_squeezes, i, a.use_se, b.use_se);
    if (a.use_se)
      same(Rule::same_squeezes, i, squeeze_channels(a, ours.squeeze),
           squeeze_channels(b, theirs.squeeze));
  }
  const auto same_value = [&](Rule rule, const auto& got, const auto& expected) {
    same(rule, -1, static_cast<int>(got.value()), static_cast<int>(expected.value()));
  };
  if (std::ranges::any_of(net.blocks, &InvertedResidualConfig::use_se)) {
    same_value(Rule::same_squeezes, ours.squeeze.block_activation, theirs.squeeze.block_activation);
    same_value(Rule::same_squeezes, ours.squeeze.gate, theirs.squeeze.gate);
  }
  same_value(Rule::same_activations, ours.activation, theirs.activation);
  same_value(Rule::same_head, ours.closing_layers, theirs.closing_layers);
  same(Rule::same_head, -1, pooled_channels(net), pooled_channels(checkpoint));
  same_value(Rule::same_head, ours.hidden_layer, theirs.hidden_layer);
  same(Rule::same_head, -1, embedding_channels(net), embedding_channels(checkpoint));
  if (ours.hidden_layer) same_value(Rule::same_head, ours.hidden_bias, theirs.hidden_bias);
  same_value(Rule::same_pooling, ours.pooling, theirs.pooling);
  same_value(Rule::same_padding, ours.padding, theirs.padding);
  // Frozen or not, a batch norm computes the same.
  const auto kind_of = [](const Settings& s) {
    return s.norm == Norm::frozen_batch ? Norm::batch : s.norm.value();
  };
  same(Rule::same_norm, -1, static_cast<int>(kind_of(ours)), static_cast<int>(kind_of(theirs)));
  if (ours.norm == Norm::group) same_value(Rule::same_norm, ours.norm_groups, theirs.norm_groups);
  if (ours.norm != Norm::none)
    same(Rule::same_eps, -1, config::detail::millionths(norm_eps_of(ours)),
         config::detail::millionths(norm_eps_of(theirs)));
  return verdict;
}

/// The sentence of a rule, as the compiler prints it.
constexpr const char* sentence_of(Rule rule) {
  switch (rule) {
    case Rule::none:
      return "";
#define MNV3_RULE(name, sentence) \
  case Rule::name:                \
    return "mnv3: [" #name "] " sentence;
      MNV3_DECLARATION_RULES(MNV3_RULE)
      MNV3_ARCHITECTURE_RULES(MNV3_RULE)
      MNV3_TAP_RULES(MNV3_RULE)
      MNV3_BLOCK_RULES(MNV3_RULE)
      MNV3_CLASS_RULES(MNV3_RULE)
      MNV3_PART_RULES(MNV3_RULE)
      MNV3_KERNEL_RULES(MNV3_RULE)
      MNV3_CHECKPOINT_RULES(MNV3_RULE)
#undef MNV3_RULE
  }
  return "";
}

/// Checks an architecture that is only known at run time.
///
/// Errors  std::invalid_argument with the sentence and the numbers that the compiler would have
///         given.
inline void require_valid(const Definition& net) {
  const Verdict verdict = check(net);
  if (verdict.ok()) return;
  std::string where;
  if (verdict.index >= 0) where = "row " + std::to_string(verdict.index) + ": ";
  throw std::invalid_argument(std::string(sentence_of(verdict.rule)) + "\n  " + where + "got " +
                              std::to_string(verdict.got) + ", expected " +
                              std::to_string(verdict.expected));
}

}  // namespace mnv3
