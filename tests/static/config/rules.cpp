// SPDX-License-Identifier: MIT
#include <mnv3/config/rules.hpp>

#include <array>
#include <limits>
#include <string_view>
#include <vector>

#include <mnv3/config/architectures.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header
using Row = InvertedResidualConfig;
using enum Activation;

// A legal table, and what is said of it after one change.
constexpr std::array legal{Row{16, 3, 16, 16, false, RE, 1}, Row{16, 3, 64, 24, false, RE, 2},
                           Row{24, 5, 72, 40, true, HS, 2}};
template <class Value>
constexpr Verdict after_setting(std::size_t row, Value Row::*field, Value value) {
  auto rows = legal;
  rows[row].*field = value;
  return check(rows);
}
constexpr Verdict wrong(Rule rule, int index, int got, int expected) {
  return {rule, index, got, expected};
}

static_assert(check(legal).ok());
static_assert(check(legal) == Verdict{});
static_assert(check(definition_of<LargeArch>).ok());
static_assert(check(definition_of<SmallArch>).ok());
static_assert(check(definition_of<RvmArch>).ok());

// Rules about the table.
static_assert(check(std::span<const Row>()) == wrong(Rule::has_blocks, -1, 0, 1));
static_assert(after_setting(0, &Row::input_channels, 0) == wrong(Rule::channels_in_range, 0, 0, 1));
static_assert(after_setting(1, &Row::expanded_channels, -64) ==
              wrong(Rule::channels_in_range, 1, -64, 1));
static_assert(after_setting(2, &Row::out_channels, 0) == wrong(Rule::channels_in_range, 2, 0, 1));
// Six times this would not be an int any more.
static_assert(after_setting(2, &Row::out_channels, 400'000'000) ==
              wrong(Rule::channels_in_range, 2, 400'000'000, 1 << 20));
static_assert(after_setting(1, &Row::input_channels, 24) == wrong(Rule::in_follows_out, 1, 24, 16));
static_assert(after_setting(1, &Row::out_channels, 40) == wrong(Rule::in_follows_out, 2, 24, 40));
static_assert(after_setting(0, &Row::input_channels, 8).ok(), "the stem follows the first row");
static_assert(after_setting(2, &Row::out_channels, 48).ok(), "the closing one follows the last");
static_assert(after_setting(0, &Row::kernel, 4) == wrong(Rule::kernel_is_odd, 0, 4, 5));
static_assert(after_setting(0, &Row::kernel, 0) == wrong(Rule::kernel_is_odd, 0, 0, 1));
static_assert(after_setting(0, &Row::kernel, -3) == wrong(Rule::kernel_is_odd, 0, -3, 1));
static_assert(after_setting(0, &Row::kernel, 1).ok());
static_assert(after_setting(0, &Row::kernel, 7).ok());
static_assert(after_setting(2, &Row::stride, Stride(0)) == wrong(Rule::stride_is_1_or_2, 2, 0, 1));
static_assert(after_setting(2, &Row::stride, Stride(3)) == wrong(Rule::stride_is_1_or_2, 2, 3, 2));
static_assert(after_setting(2, &Row::stride, Stride{4, 1}) ==
              wrong(Rule::stride_is_1_or_2, 2, 4, 2));
static_assert(after_setting(2, &Row::stride, Stride{2, 0}) ==
              wrong(Rule::stride_is_1_or_2, 2, 0, 1));
static_assert(after_setting(2, &Row::stride, Stride{2, 1}).ok());
static_assert(after_setting(2, &Row::stride, Stride{1, 2}).ok());
static_assert(after_setting(2, &Row::width_mult, 0.0) == wrong(Rule::width_mult_positive, 2, 0, 1));
static_assert(after_setting(2, &Row::width_mult, -0.5) ==
              wrong(Rule::width_mult_positive, 2, -500, 1));
static_assert(after_setting(2, &Row::width_mult, std::numeric_limits<double>::quiet_NaN()).rule ==
              Rule::width_mult_positive);
static_assert(after_setting(2, &Row::width_mult, 0.5).ok());
static_assert(after_setting(2, &Row::dilation, 0) == wrong(Rule::dilation_positive, 2, 0, 1));
static_assert(after_setting(2, &Row::dilation, 4).ok());
static_assert(after_setting(1, &Row::expanded_channels, 8) ==
              wrong(Rule::expand_not_below_in, 1, 8, 16));
static_assert(after_setting(1, &Row::expanded_channels, 16).ok());

// The first wrong row is the one that is named.
constexpr Verdict of_two_wrong_rows() {
  auto rows = legal;
  rows[1].stride = 3;
  rows[2].kernel = 2;
  return check(rows);
}
static_assert(of_two_wrong_rows() == wrong(Rule::stride_is_1_or_2, 1, 3, 2));

// Rules about the settings. Doubles are reported in thousandths.
constexpr Verdict with(const Settings& settings) { return check(Definition{legal, settings}); }
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr ChannelValues three{0.5, 0.5, 0.5};
constexpr ChannelValues two{0.5, 0.5};
constexpr Verdict with_input(const Input& input) { return with({.input = input}); }

static_assert(with({}).ok());
static_assert(with_input({.channels = 0}) == wrong(Rule::input_channels_positive, -1, 0, 1));
static_assert(with_input({.channels = 4}).ok());
static_assert(with_input({.channels = 3, .mean = three, .std = three}).ok());
static_assert(with_input({.channels = 3, .mean = two, .std = two}) ==
              wrong(Rule::normalization_fits, -1, 2, 3));
static_assert(with_input({.channels = 4, .mean = three, .std = three}) ==
              wrong(Rule::normalization_fits, -1, 3, 4));
static_assert(with_input({.channels = 3, .mean = three}) ==
              wrong(Rule::normalization_fits, -1, 0, 3));
static_assert(with_input({.channels = 3, .std = three}) ==
              wrong(Rule::normalization_fits, -1, 0, 3));
static_assert(with_input({.channels = 3, .mean = three, .std = two}) ==
              wrong(Rule::normalization_fits, -1, 2, 3));
static_assert(with_input({.channels = 3, .mean = three, .std = {0.5, 0.0, 0.5}}) ==
              wrong(Rule::std_positive, -1, 0, 1));
static_assert(with_input({.channels = 3, .mean = three, .std = {0.5, 0.5, -0.25}}) ==
              wrong(Rule::std_positive, -1, -250, 1));
static_assert(with_input({.channels = 3, .mean = three, .std = {0.5, 0.5, nan}}).rule ==
              Rule::std_positive);
static_assert(with({.num_classes = 0}) == wrong(Rule::num_classes_positive, -1, 0, 1));
static_assert(with({.num_classes = 1}).ok());
static_assert(with({.last_channel = -8}) == wrong(Rule::last_channel_positive, -1, -8, 1));
static_assert(with({.dropout = 1.5}) == wrong(Rule::dropout_is_probability, -1, 1500, 1000));
static_assert(with({.dropout = -0.1}) == wrong(Rule::dropout_is_probability, -1, -100, 0));
static_assert(with({.dropout = 0}).ok());
static_assert(with({.dropout = 1}).ok());
static_assert(with({.norm_eps = 0}) == wrong(Rule::eps_positive, -1, 0, 1));
static_assert(with({.norm_eps = 1e-5}).ok());
static_assert(with({.norm_momentum = 1.25}) == wrong(Rule::momentum_is_fraction, -1, 1250, 1000));
static_assert(with({.norm_momentum = -1}) == wrong(Rule::momentum_is_fraction, -1, -1000, 0));
static_assert(with({.norm_momentum = 0}).ok() && with({.norm_momentum = 1}).ok());
static_assert(with({.squeeze{.divisor = 0}}) == wrong(Rule::squeeze_divisor_positive, -1, 0, 1));
static_assert(with({.squeeze{.ratio = 0}}) == wrong(Rule::squeeze_ratio_positive, -1, 0, 1));
static_assert(with({.squeeze{.ratio = 1}}).ok());
static_assert(with({.closing_layers = -1}) == wrong(Rule::closing_layers_in_range, -1, -1, 0));
static_assert(with({.closing_layers = 0}).ok());
static_assert(with({.closing_layers = 1024}).ok());
static_assert(with({.closing_layers = 2000}) ==
              wrong(Rule::closing_layers_in_range, -1, 2000, 1024));
static_assert(with({.closing_channels = 0}) == wrong(Rule::closing_channels_in_range, -1, 0, 1));
static_assert(with({.closing_channels = -8}) == wrong(Rule::closing_channels_in_range, -1, -8, 1));
static_assert(with({.closing_channels = 1 << 21}) ==
              wrong(Rule::closing_channels_in_range, -1, 1 << 21, 1 << 20));
static_assert(with({.closing_channels = 1}).ok());

// Values that are no numbers are refused, not let through, and infinite ones do not overflow.
static_assert(with({.dropout = nan}).rule == Rule::dropout_is_probability);
static_assert(with({.norm_eps = nan}).rule == Rule::eps_positive);
static_assert(with({.norm_momentum = nan}).rule == Rule::momentum_is_fraction);
static_assert(with({.dropout = infinity}).rule == Rule::dropout_is_probability);

// Groups divide all channels that are normalised: of the stem, of each row, of the closing
// convolutions. No other norm asks.
constexpr Verdict with_groups(int groups, std::span<const Row> rows = legal) {
  return check(Definition{rows, {.norm = Norm::group, .norm_groups = groups}});
}
static_assert(with_groups(8).ok());
static_assert(with_groups(0) == wrong(Rule::groups_divide_channels, -1, 0, 1));
static_assert(with_groups(16) == wrong(Rule::groups_divide_channels, 1, 16, 8), "24 channels");
static_assert(with({.norm_groups = 16}).ok(), "batch norm");
static_assert(with({.norm_groups = 0}) == wrong(Rule::groups_divide_channels, -1, 0, 1));
constexpr std::array odd_stem{Row{12, 3, 16, 16, false, RE, 1}};
constexpr std::array odd_expansion{Row{16, 3, 20, 16, false, RE, 1}};
constexpr std::array odd_output{Row{16, 3, 16, 20, false, RE, 1}};
static_assert(with_groups(8, odd_stem) == wrong(Rule::groups_divide_channels, 0, 8, 4));
static_assert(with_groups(8, odd_expansion) == wrong(Rule::groups_divide_channels, 0, 8, 4));
static_assert(with_groups(8, odd_output) == wrong(Rule::groups_divide_channels, 0, 8, 4));
static_assert(with({.norm = Norm::group, .closing_channels = 100}) ==
              wrong(Rule::groups_divide_channels, -1, 8, 4));
static_assert(with({.norm = Norm::group, .closing_layers = 0, .closing_channels = 100}).ok(),
              "there is none");

// Rules about taps.
template <class... Taps>
constexpr Verdict verdict_on = check_taps(definition_of<LargeArch>, taps<Taps...>::requests);

static_assert(verdict_on<>.ok());
static_assert(verdict_on<after<0>, expansion<2>, after<2>, at_stride<8>, embedding, logits>.ok());
static_assert(verdict_on<first_at_stride<8>, at_stride<8>>.ok());
static_assert(verdict_on<after<17>> == wrong(Rule::feature_exists, 0, 17, 0));
static_assert(verdict_on<after<1>, after<-1>> == wrong(Rule::feature_exists, 1, -1, 0));
static_assert(verdict_on<at_stride<64>> == wrong(Rule::stride_exists, 0, 64, 0));
static_assert(verdict_on<first_at_stride<3>> == wrong(Rule::stride_exists, 0, 3, 0));
static_assert(verdict_on<expansion<1>> == wrong(Rule::expansion_exists, 0, 1, 0));
static_assert(verdict_on<expansion<16>> == wrong(Rule::expansion_exists, 0, 16, 0));
static_assert(verdict_on<after<3>, after<3>> == wrong(Rule::taps_differ, 1, 3, 0));
static_assert(verdict_on<after<6>, at_stride<8>> == wrong(Rule::taps_differ, 1, 8, 0));
static_assert(verdict_on<logits, logits> == wrong(Rule::taps_differ, 1, 0, 0));
static_assert(verdict_on<after<6>, after<3>> == wrong(Rule::taps_ascend, 1, 3, 0));
static_assert(verdict_on<after<13>, expansion<13>> == wrong(Rule::taps_ascend, 1, 13, 0));
static_assert(verdict_on<logits, embedding> == wrong(Rule::taps_ascend, 1, 0, 0));
static_assert(verdict_on<after<1>, after<3>, after<2>>.index == 2);
static_assert(check_taps(definition_of<RvmArch>, taps<at_stride<32>>::requests).rule ==
              Rule::stride_exists);

// Group norm's groups are those of what the table describes: not of blocks of one's own.
constexpr Verdict with_own_block(int groups) {
  return check(Definition{legal, {.norm = Norm::group, .norm_groups = groups}, true});
}
static_assert(with_own_block(16).ok(), "24 channels are a block's");
static_assert(with_own_block(32) == wrong(Rule::groups_divide_channels, 0, 32, 16), "the stem's");

// Stages.
constexpr Verdict with_stages(std::span<const int> stages) { return with({.stages = stages}); }
static_assert(with_stages(std::array{0, 1, 2}).ok());
static_assert(with_stages(std::array{0, 0, 1}).ok());
static_assert(with_stages(std::array{0, 1}) == wrong(Rule::stages_fit_rows, -1, 2, 3));
static_assert(with_stages(std::array{1, 1, 1}) == wrong(Rule::stages_fit_rows, 0, 1, 0));
static_assert(with_stages(std::array{0, 2, 2}) == wrong(Rule::stages_fit_rows, 1, 2, 1));
static_assert(with_stages(std::array{0, 1, 0}) == wrong(Rule::stages_fit_rows, 2, 0, 1));

// Rules about checkpoints: each clause alone. `got` is the network's, `expected` the checkpoint's.
constexpr Definition small{legal, {}};
constexpr Verdict with_checkpoint(const Settings& settings) {
  return check_checkpoint(small, {legal, settings});
}
constexpr Verdict with_checkpoint(std::size_t row, auto Row::*field, auto value) {
  auto rows = legal;
  rows[row].*field = value;
  return check_checkpoint(small, {rows, {}});
}
// What squeeze-and-excitation is like does not matter where there is none.
constexpr std::array unsqueezed{legal[0], legal[1]};
static_assert(check_checkpoint({unsqueezed, {.squeeze{.gate = Gate::sigmoid}}},
                               {unsqueezed, {.squeeze{.block_activation = true}}})
                  .ok());
static_assert(check_checkpoint(small, small).ok());
static_assert(check_checkpoint(small, {std::span(legal).first(2), {}}) ==
              wrong(Rule::same_rows, -1, 3, 2));
static_assert(with_checkpoint(0, &Row::input_channels, 8) == wrong(Rule::same_channels, 0, 16, 8));
static_assert(with_checkpoint(1, &Row::expanded_channels, 72) ==
              wrong(Rule::same_channels, 1, 64, 72));
static_assert(with_checkpoint(0, &Row::expands_always, true) ==
              wrong(Rule::same_channels, 0, 0, 1));
static_assert(with_checkpoint(2, &Row::out_channels, 48) == wrong(Rule::same_channels, 2, 40, 48));
static_assert(with_checkpoint(2, &Row::kernel, 3) == wrong(Rule::same_kernels, 2, 5, 3));
static_assert(with_checkpoint(2, &Row::stride, Stride{1, 2}) == wrong(Rule::same_strides, 2, 2, 1));
static_assert(with_checkpoint(2, &Row::stride, Stride{2, 1}) == wrong(Rule::same_strides, 2, 2, 1));
static_assert(with_checkpoint(0, &Row::dilation, 2) == wrong(Rule::same_dilations, 0, 1, 2));
static_assert(with_checkpoint(0, &Row::residual, false) == wrong(Rule::same_residuals, 0, 1, 0));
static_assert(with_checkpoint(1, &Row::residual, false).ok(), "there is none");
static_assert(with_checkpoint(1, &Row::activation, HS) == wrong(Rule::same_activations, 1, 0, 1));
static_assert(with_checkpoint(1, &Row::projection_activation, RE) ==
              wrong(Rule::same_activations, 1, 4, 0));
static_assert(with_checkpoint(1, &Row::use_se, true) == wrong(Rule::same_squeezes, 1, 0, 1));
static_assert(with_checkpoint({.squeeze{.divisor = 1}}) ==
              wrong(Rule::same_squeezes, 2, 24, 72 / 4));
static_assert(with_checkpoint({.squeeze{.ratio = 3}}).ok(), "72 // 3 is 24, and so is 72 // 4");
static_assert(with_checkpoint({.squeeze{.ratio = 2}}) == wrong(Rule::same_squeezes, 2, 24, 40));
static_assert(with_checkpoint({.squeeze{.block_activation = true}}) ==
              wrong(Rule::same_squeezes, -1, 0, 1));
static_assert(with_checkpoint({.squeeze{.gate = Gate::hardsigmoid_slope_0_2}}) ==
              wrong(Rule::same_squeezes, -1, 0, 1));
static_assert(with_checkpoint({.activation = RE6}) == wrong(Rule::same_activations, -1, 1, 2));
static_assert(with_checkpoint({.closing_layers = 2}) == wrong(Rule::same_head, -1, 1, 2));
static_assert(with_checkpoint({.closing_channels = 256}) == wrong(Rule::same_head, -1, 240, 256));
static_assert(with_checkpoint({.closing_channels = 240}).ok(), "six times 40");
static_assert(with_checkpoint({.last_channel = 240, .hidden_layer = false}) ==
              wrong(Rule::same_head, -1, 1, 0));
static_assert(check_checkpoint({legal, {.last_channel = 240}},
                               {legal, {.last_channel = 240, .hidden_layer = false}}) ==
                  wrong(Rule::same_head, -1, 1, 0),
              "though the last Linear is as wide");
static_assert(with_checkpoint({.last_channel = 64}) == wrong(Rule::same_head, -1, 1280, 64));
static_assert(with_checkpoint({.hidden_bias = false}) == wrong(Rule::same_head, -1, 1, 0));
static_assert(check_checkpoint({legal, {.hidden_layer = false}},
                               {legal, {.hidden_layer = false, .hidden_bias = false}})
                  .ok(),
              "no hidden layer has no bias");
static_assert(with_checkpoint({.pooling = Pooling::avgmax}) == wrong(Rule::same_pooling, -1, 0, 2));
static_assert(with_checkpoint({.padding = Padding::same}) == wrong(Rule::same_padding, -1, 0, 1));
static_assert(with_checkpoint({.norm = Norm::group}) == wrong(Rule::same_norm, -1, 0, 2));
static_assert(check_checkpoint({legal, {.norm = Norm::group}},
                               {legal, {.norm = Norm::group, .norm_groups = 4}}) ==
              wrong(Rule::same_norm, -1, 8, 4));
static_assert(with_checkpoint({.norm_groups = 4}).ok(), "batch norm has none");
static_assert(with_checkpoint({.norm_eps = 1e-5}) == wrong(Rule::same_eps, -1, 1000, 10));
static_assert(check_checkpoint({legal, {.norm = Norm::none}},
                               {legal, {.norm = Norm::none, .norm_eps = 1e-2}})
                  .ok(),
              "no norm has none");
// Frozen or not, a batch norm computes the same; only its epsilon may differ.
static_assert(with_checkpoint({.norm = Norm::frozen_batch, .norm_eps = 1e-3}).ok());
static_assert(with_checkpoint({.norm = Norm::frozen_batch}) == wrong(Rule::same_eps, -1, 1000, 10));
// What only training sees, what is adapted, and what is of no consequence.
static_assert(with_checkpoint({.input{.channels = 3, .mean = three, .std = three},
                               .num_classes = 10,
                               .dropout = 0,
                               .norm_momentum = 0.1,
                               .names = Names::timm})
                  .ok());

// A table and taps that are only known at run time go through the same two functions.
constexpr Verdict of_run_time_table(int rows) {
  const std::vector<Row> table(static_cast<std::size_t>(rows), {16, 3, 32, 16, false, RE, 1});
  const std::vector<TapRequest> requests{{TapRequest::Kind::after, rows + 2}};
  const Definition net{table};
  return check(net).ok() ? check_taps(net, requests) : check(net);
}
static_assert(of_run_time_table(0).rule == Rule::has_blocks);
static_assert(of_run_time_table(3) == wrong(Rule::feature_exists, 0, 5, 0));

// Sentences carry their rule, for searching; the verdict on what is legal has none.
constexpr std::string_view sentence(Rule rule) { return sentence_of(rule); }
static_assert(sentence(Rule::none).empty());
static_assert(sentence(Rule::kernel_is_odd).starts_with("mnv3: [kernel_is_odd] `kernel`"));
static_assert(sentence(Rule::taps_ascend).starts_with("mnv3: [taps_ascend] "));

}  // namespace
