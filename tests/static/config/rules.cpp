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
static_assert(after_setting(2, &Row::stride, 0) == wrong(Rule::stride_is_1_or_2, 2, 0, 1));
static_assert(after_setting(2, &Row::stride, 3) == wrong(Rule::stride_is_1_or_2, 2, 3, 2));
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
template <class Value>
constexpr Verdict after_setting(Value Settings::*field, Value value) {
  Definition net{legal};
  net.settings.*field = value;
  return check(net);
}
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::array three{0.5, 0.5, 0.5};
constexpr std::array two{0.5, 0.5};
constexpr std::array with_zero{0.5, 0.0, 0.5};
constexpr std::array with_negative{0.5, 0.5, -0.25};

static_assert(after_setting(&Settings::input, {.channels = 0}) ==
              wrong(Rule::input_channels_positive, -1, 0, 1));
static_assert(after_setting(&Settings::input, {.channels = 4}).ok());
static_assert(after_setting(&Settings::input, {.channels = 3, .mean = three, .std = three}).ok());
static_assert(after_setting(&Settings::input, {.channels = 3, .mean = two, .std = two}) ==
              wrong(Rule::normalization_fits, -1, 2, 3));
static_assert(after_setting(&Settings::input, {.channels = 4, .mean = three, .std = three}) ==
              wrong(Rule::normalization_fits, -1, 3, 4));
static_assert(after_setting(&Settings::input, {.channels = 3, .mean = three, .std = {}}) ==
              wrong(Rule::normalization_fits, -1, 0, 3));
static_assert(after_setting(&Settings::input, {.channels = 3, .mean = {}, .std = three}) ==
              wrong(Rule::normalization_fits, -1, 0, 3));
static_assert(after_setting(&Settings::input, {.channels = 3, .mean = three, .std = two}) ==
              wrong(Rule::normalization_fits, -1, 2, 3));
static_assert(after_setting(&Settings::input, {.channels = 3, .mean = three, .std = with_zero}) ==
              wrong(Rule::std_positive, -1, 0, 1));
static_assert(after_setting(&Settings::input,
                            {.channels = 3, .mean = three, .std = with_negative}) ==
              wrong(Rule::std_positive, -1, -250, 1));
static_assert(after_setting(&Settings::num_classes, 0) ==
              wrong(Rule::num_classes_positive, -1, 0, 1));
static_assert(after_setting(&Settings::num_classes, 1).ok());
static_assert(after_setting(&Settings::last_channel, -8) ==
              wrong(Rule::last_channel_positive, -1, -8, 1));
static_assert(after_setting(&Settings::dropout, 1.5) ==
              wrong(Rule::dropout_is_probability, -1, 1500, 1000));
static_assert(after_setting(&Settings::dropout, -0.1) ==
              wrong(Rule::dropout_is_probability, -1, -100, 0));
static_assert(after_setting(&Settings::dropout, 0.0).ok());
static_assert(after_setting(&Settings::dropout, 1.0).ok());
static_assert(after_setting(&Settings::batch_norm_eps, 0.0) == wrong(Rule::eps_positive, -1, 0, 1));
static_assert(after_setting(&Settings::batch_norm_eps, 1e-5).ok());
static_assert(after_setting(&Settings::batch_norm_momentum, 1.25) ==
              wrong(Rule::momentum_is_fraction, -1, 1250, 1000));
static_assert(after_setting(&Settings::batch_norm_momentum, -1.0) ==
              wrong(Rule::momentum_is_fraction, -1, -1000, 0));

// Values that are no numbers are refused, not let through, and infinite ones do not overflow.
static_assert(after_setting(&Settings::dropout, nan).rule == Rule::dropout_is_probability);
static_assert(after_setting(&Settings::batch_norm_eps, nan).rule == Rule::eps_positive);
static_assert(after_setting(&Settings::batch_norm_momentum, nan).rule ==
              Rule::momentum_is_fraction);
static_assert(after_setting(&Settings::dropout, infinity).rule == Rule::dropout_is_probability);

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

// Rules about conventions.
constexpr Verdict with_settings(auto change) {
  Settings settings;
  change(settings);
  return check(Definition{legal, settings});
}
static_assert(with_settings([](Settings& s) { s.squeeze.divisor = 0; }) ==
              wrong(Rule::squeeze_divisor_positive, -1, 0, 1));
static_assert(with_settings([](Settings& s) { s.closing_layers = 0; }) ==
              wrong(Rule::closing_layers_in_range, -1, 0, 1));
static_assert(with_settings([](Settings& s) { s.closing_layers = 2000; }) ==
              wrong(Rule::closing_layers_in_range, -1, 2000, 1024));
constexpr Verdict with_stages(std::span<const int> stages) {
  return with_settings([&](Settings& s) { s.stages = stages; });
}
static_assert(with_stages(std::array{0, 1, 2}).ok());
static_assert(with_stages(std::array{0, 0, 1}).ok());
static_assert(with_stages(std::array{0, 1}) == wrong(Rule::stages_fit_rows, -1, 2, 3));
static_assert(with_stages(std::array{1, 1, 1}) == wrong(Rule::stages_fit_rows, 0, 1, 0));
static_assert(with_stages(std::array{0, 2, 2}) == wrong(Rule::stages_fit_rows, 1, 2, 1));
static_assert(with_stages(std::array{0, 1, 0}) == wrong(Rule::stages_fit_rows, 2, 0, 1));

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
