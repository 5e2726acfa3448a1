// SPDX-License-Identifier: MIT
#include <mnv3/config/arch.hpp>

#include <array>

#include <mnv3/config/architectures.hpp>

namespace {

using mnv3::definition_of;
using mnv3::InvertedResidualConfig;
using mnv3::Settings;

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

// A table says nothing else: all settings are torchvision's.
static_assert(!definition_of<Tiny>.settings.num_classes.is_given());
static_assert(definition_of<Tiny>.settings.num_classes == 1000);

// What is given counts, and inheriting keeps the rest, the table too.
struct TenClasses : mnv3::SmallArch {
  static constexpr Settings settings{.num_classes = 10};
};
static_assert(definition_of<TenClasses>.settings.num_classes == 10);
static_assert(definition_of<TenClasses>.settings.last_channel == 1024);
static_assert(definition_of<TenClasses>.blocks.data() ==
              definition_of<mnv3::SmallArch>.blocks.data());
static_assert(definition_of<mnv3::SmallArch>.settings.num_classes == 1000);

// Through two levels, the middle one of which gives something else.
struct Regularised : TenClasses {
  static constexpr Settings settings{.dropout = 0.5};
};
struct Hundred : Regularised {
  static constexpr Settings settings{.num_classes = 100};
};
static_assert(definition_of<Regularised>.settings.num_classes == 10);
static_assert(definition_of<Hundred>.settings.num_classes == 100);
static_assert(definition_of<Hundred>.settings.dropout == 0.5);
static_assert(definition_of<Hundred>.settings.last_channel == 1024);

// Through one that says nothing itself, with a table or without.
struct Renamed : Hundred {};
struct OtherTable : Hundred {
  static constexpr auto blocks = Tiny::blocks;
};
static_assert(definition_of<Renamed>.settings.num_classes == 100);
static_assert(definition_of<Renamed>.settings.last_channel == 1024);
static_assert(definition_of<OtherTable>.settings.dropout == 0.5);
static_assert(definition_of<OtherTable>.blocks.size() == 2);
struct Renamed10 : Renamed {
  static constexpr Settings settings{.num_classes = 10};
};
static_assert(definition_of<Renamed10>.settings.num_classes == 10);
static_assert(definition_of<Renamed10>.settings.dropout == 0.5);

// Beside other bases, whatever their order.
struct Mixin {};
struct SecondMixin {};
struct ThirdMixin {};
struct AfterMixin : Mixin, Hundred {
  static constexpr Settings settings{.closing_layers = 2};
};
struct BeforeMixin : Hundred, Mixin {
  static constexpr Settings settings{.closing_layers = 2};
};
struct BetweenMixins : Mixin, Hundred, SecondMixin {
  static constexpr Settings settings{.closing_layers = 2};
};
struct AfterThree : Mixin, SecondMixin, ThirdMixin, Hundred {
  static constexpr Settings settings{.closing_layers = 2};
};
template <class Arch>
constexpr bool keeps_what_hundred_has = definition_of<Arch>.settings.num_classes == 100 &&
                                        definition_of<Arch>.settings.dropout == 0.5 &&
                                        definition_of<Arch>.settings.last_channel == 1024 &&
                                        definition_of<Arch>.settings.closing_layers == 2;
static_assert(keeps_what_hundred_has<AfterMixin>);
static_assert(keeps_what_hundred_has<BeforeMixin>);
static_assert(keeps_what_hundred_has<BetweenMixins>);
static_assert(keeps_what_hundred_has<AfterThree>);

// The rows' own `width_mult` is carried out, and only where there is one.
struct Pasted {
  static constexpr auto blocks = std::to_array<InvertedResidualConfig>({
      {16, 3, 16, 24, false, mnv3::Activation::RE, 1, 1, 0.5},
      {16, 3, 64, 24, false, mnv3::Activation::RE, 2, 1, 1.0},
  });
};
static_assert(definition_of<Pasted>.blocks[0] ==
              InvertedResidualConfig{8, 3, 8, 16, false, mnv3::Activation::RE, 1});
static_assert(definition_of<Pasted>.blocks[1] == Pasted::blocks[1]);
static_assert(definition_of<Tiny>.blocks.data() == Tiny::blocks.data());

// A block of one's own is a template on rows.
struct OwnBlock : Tiny {
  template <InvertedResidualConfig Row>
  class block {};
};
struct NoRowInBlock : Tiny {
  template <int I>
  class block {};
};
static_assert(mnv3::has_own_block<OwnBlock>);
static_assert(!mnv3::has_own_block<Tiny>);
static_assert(!mnv3::has_own_block<NoRowInBlock>);
static_assert(!mnv3::has_own_block<int>);

}  // namespace
