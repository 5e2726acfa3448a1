// SPDX-License-Identifier: MIT
#include <mnv3/config/geometry.hpp>

#include <array>
#include <vector>

#include <mnv3/config/architectures.hpp>

namespace {

using mnv3::Definition;
using mnv3::definition_of;
using mnv3::InvertedResidualConfig;
using mnv3::Settings;
using mnv3::Stride;
using enum mnv3::Activation;

constexpr auto rows = std::to_array<InvertedResidualConfig>({
    {8, 3, 8, 8, false, RE, 1},
    {8, 3, 24, 12, false, HS, 2},
});
constexpr Definition tiny{rows};

// The stem, a feature for each row, the closing convolutions.
static_assert(feature_count(tiny) == 4);
static_assert(feature_count(definition_of<mnv3::LargeArch>) == 17);
static_assert(feature_count(definition_of<mnv3::SmallArch>) == 13);
static_assert(!is_block(tiny, -1));
static_assert(!is_block(tiny, 0));
static_assert(is_block(tiny, 1));
static_assert(is_block(tiny, 2));
static_assert(!is_block(tiny, 3));
static_assert(row_of(tiny, 1) == rows[0]);
static_assert(row_of(tiny, 2) == rows[1]);

static_assert(output_channels(tiny, 0) == 8);
static_assert(output_channels(tiny, 1) == 8);
static_assert(output_channels(tiny, 2) == 12);
static_assert(output_channels(tiny, 3) == 72, "six times the last block's");
static_assert(output_stride(tiny, 0) == 2);
static_assert(output_stride(tiny, 1) == 2);
static_assert(output_stride(tiny, 2) == 4);
static_assert(output_stride(tiny, 3) == 4);
static_assert(pooled_channels(tiny) == 72);
static_assert(embedding_channels(tiny) == 1280);

// Channels of the closing convolutions are what is given, in all of them.
constexpr Definition given{rows, {.closing_layers = 2, .closing_channels = 100}};
static_assert(feature_count(given) == 5);
static_assert(output_channels(given, 2) == 12);
static_assert(output_channels(given, 3) == 100);
static_assert(output_channels(given, 4) == 100);
static_assert(pooled_channels(given) == 100);
static_assert(output_stride(given, 4) == 4);

// Without a closing convolution the last block is pooled, whatever they would have had.
constexpr Definition open{rows, {.closing_layers = 0, .closing_channels = 100}};
static_assert(feature_count(open) == 3);
static_assert(pooled_channels(open) == 12);
static_assert(embedding_channels(open) == 1280);

// Without a hidden layer the last Linear reads what is pooled.
constexpr Definition flat{rows, {.last_channel = 64, .hidden_layer = false}};
static_assert(pooled_channels(flat) == 72);
static_assert(embedding_channels(flat) == 72);
constexpr Definition bare{rows, {.closing_layers = 0, .hidden_layer = false}};
static_assert(embedding_channels(bare) == 12);

// Each axis has its own stride; the stem halves both.
constexpr auto recogniser_rows = std::to_array<InvertedResidualConfig>({
    {8, 3, 8, 8, false, RE, {2, 1}},
    {8, 3, 24, 12, false, HS, {1, 2}},
    {12, 3, 24, 12, false, HS, {2, 1}},
    {12, 3, 24, 12, false, HS, {2, 1}, 2},
});
constexpr Definition recogniser{recogniser_rows};
static_assert(output_stride(recogniser, 0) == Stride{2, 2});
static_assert(output_stride(recogniser, 1) == Stride{4, 2});
static_assert(output_stride(recogniser, 2) == Stride{4, 4});
static_assert(output_stride(recogniser, 3) == Stride{8, 4});
static_assert(output_stride(recogniser, 4) == Stride{8, 4}, "dilated instead of strided");
static_assert(output_stride(recogniser, 5) == Stride{8, 4});

// A stage begins with each stride along any axis, and with each new number of channels.
constexpr auto stage_rows = std::to_array<InvertedResidualConfig>({
    {8, 3, 8, 8, false, RE, 2},
    {8, 3, 8, 8, false, RE, 1},
    {8, 3, 8, 8, false, RE, {1, 2}},
    {8, 3, 8, 16, false, RE, 1},
    {16, 3, 16, 16, false, RE, 1},
});
constexpr std::array<int, 5> stages_of(const Definition& net) {
  std::array<int, 5> stages{};
  for (int i = 1; i <= 5; ++i) stages[static_cast<std::size_t>(i - 1)] = stage_of(net, i);
  return stages;
}
static_assert(stages_of({stage_rows}) == std::array{0, 0, 1, 2, 2});
static_assert(mnv3::begins_stage({stage_rows}, 1) && !mnv3::begins_stage({stage_rows}, 2));
// What is given counts instead.
constexpr std::array other_stages{0, 1, 1, 1, 2};
constexpr Definition with_stages{stage_rows, {.stages = other_stages}};
static_assert(stages_of(with_stages) == other_stages);
static_assert(begins_stage(with_stages, 2) && !begins_stage(with_stages, 3));

// A definition can also be made at run time; the same functions serve it.
constexpr Stride stride_of_run_time_table() {
  const std::vector<InvertedResidualConfig> table(3, {8, 3, 16, 8, false, RE, 2});
  return output_stride(Definition{table}, 4);
}
static_assert(stride_of_run_time_table() == 16);

}  // namespace
