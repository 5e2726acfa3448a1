// SPDX-License-Identifier: MIT
#include <mnv3/config/arch.hpp>

#include <array>
#include <vector>

#include <mnv3/config/architectures.hpp>

namespace {

using mnv3::definition_of;
using mnv3::InvertedResidualConfig;

// A table is all it takes.
struct Tiny {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {8, 3, 8, 8, false, RE, 1},
      {8, 3, 24, 12, false, HS, 2},
  });
};
struct CArray {
  static constexpr InvertedResidualConfig blocks[] = {{8, 3, 8, 8, false, mnv3::Activation::RE, 1}};
};
static_assert(mnv3::architecture<Tiny>);
static_assert(mnv3::architecture<CArray>);
static_assert(definition_of<CArray>.blocks.size() == 1);

// Nothing else is an architecture.
struct NoTable {};
struct OtherRows {
  static constexpr std::array blocks{1, 2, 3};
};
struct NotATable {
  static constexpr int blocks = 15;
};
static_assert(!mnv3::architecture<NoTable>);
static_assert(!mnv3::architecture<OtherRows>);
static_assert(!mnv3::architecture<NotATable>);
static_assert(!mnv3::architecture<int>);

// What is not given has torchvision's defaults.
constexpr mnv3::Settings defaults = definition_of<Tiny>.settings;
static_assert(defaults.input.channels == 3);
static_assert(!defaults.input.normalized_inside());
static_assert(defaults.num_classes == 1000);
static_assert(defaults.last_channel == 1280);
static_assert(defaults.dropout == 0.2);
static_assert(defaults.batch_norm_eps == 0.001);
static_assert(defaults.batch_norm_momentum == 0.01);

// What is given counts, one member at a time, and inheriting keeps the rest.
struct TenClasses : mnv3::SmallArch {
  static constexpr int num_classes = 10;
};
static_assert(definition_of<TenClasses>.settings.num_classes == 10);
static_assert(definition_of<TenClasses>.settings.last_channel == 1024);
static_assert(definition_of<TenClasses>.blocks.data() ==
              definition_of<mnv3::SmallArch>.blocks.data());
static_assert(definition_of<mnv3::SmallArch>.settings.num_classes == 1000);

struct Everything : Tiny {
  static constexpr mnv3::Input input{.channels = 4};
  static constexpr int num_classes = 2;
  static constexpr int last_channel = 64;
  static constexpr double dropout = 0.5;
  static constexpr double batch_norm_eps = 1e-5;
  static constexpr double batch_norm_momentum = 0.1;
};
constexpr mnv3::Settings given = definition_of<Everything>.settings;
static_assert(given.input.channels == 4);
static_assert(given.num_classes == 2);
static_assert(given.last_channel == 64);
static_assert(given.dropout == 0.5);
static_assert(given.batch_norm_eps == 1e-5);
static_assert(given.batch_norm_momentum == 0.1);

// The stem, a feature for each row, the closing convolution.
constexpr const mnv3::Definition& tiny = definition_of<Tiny>;
static_assert(feature_count(tiny) == 4);
static_assert(feature_count(definition_of<mnv3::LargeArch>) == 17);
static_assert(feature_count(definition_of<mnv3::SmallArch>) == 13);
static_assert(!is_block(tiny, -1));
static_assert(!is_block(tiny, 0));
static_assert(is_block(tiny, 1));
static_assert(is_block(tiny, 2));
static_assert(!is_block(tiny, 3));
static_assert(row_of(tiny, 1) == Tiny::blocks[0]);
static_assert(row_of(tiny, 2) == Tiny::blocks[1]);

static_assert(output_channels(tiny, 0) == 8);
static_assert(output_channels(tiny, 1) == 8);
static_assert(output_channels(tiny, 2) == 12);
static_assert(output_channels(tiny, 3) == 72, "six times the last block's");
static_assert(output_stride(tiny, 0) == 2);
static_assert(output_stride(tiny, 1) == 2);
static_assert(output_stride(tiny, 2) == 4);
static_assert(output_stride(tiny, 3) == 4);

// A definition can also be made at run time; the same functions serve it.
constexpr int stride_of_run_time_table() {
  const std::vector<InvertedResidualConfig> rows(3, {8, 3, 16, 8, false, mnv3::Activation::RE, 2});
  return output_stride(mnv3::Definition{rows}, 4);
}
static_assert(stride_of_run_time_table() == 16);

}  // namespace
