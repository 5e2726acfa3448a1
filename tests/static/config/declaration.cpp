// SPDX-License-Identifier: MIT
#include <mnv3/config/declaration.hpp>

#include <array>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/timm.hpp>

namespace {

using namespace mnv3;  // a test of nearly every name in the header

template <class Arch>
constexpr Rule broken_by = check_declaration<Arch>().rule;

// All that the library has is well declared.
static_assert(broken_by<LargeArch> == Rule::none && is_valid<LargeArch>());
static_assert(broken_by<SmallArch> == Rule::none && is_valid<SmallArch>());
static_assert(is_valid<RvmArch>() && is_valid<MobileNetV2Arch>());
static_assert(is_valid<timm::mobilenetv3_rw>() && is_valid<timm::lcnet_100>());
static_assert(is_valid<timm::tf_mobilenetv3_small_minimal_100>());
static_assert(is_valid<timm::mobilenetv3_large_150d>());

// What has no table is none.
struct NoTable {};
static_assert(broken_by<NoTable> == Rule::is_architecture);
static_assert(broken_by<int> == Rule::is_architecture);
static_assert(!is_valid<NoTable>());

// A member that is not static, or a constructor.
struct NotStatic : SmallArch {
  int n = 10;
};
struct NotStaticSettings : LargeArch {
  Settings settings{.num_classes = 10};
};
struct Constructed : SmallArch {
  Constructed() {}
};
static_assert(broken_by<NotStatic> == Rule::members_are_static);
static_assert(broken_by<NotStaticSettings> == Rule::members_are_static);
static_assert(broken_by<Constructed> == Rule::members_are_static);
static_assert(!is_valid<NotStatic>());

// `settings` of another type.
struct OtherSettings : SmallArch {
  [[maybe_unused]] static constexpr Input settings{};
};
static_assert(broken_by<OtherSettings> == Rule::settings_are_settings);

// Two bases with settings: nobody could tell which count.
struct Conventions {
  static constexpr Settings settings{.dropout = 0};
};
struct TwoBases : SmallArch, Conventions {};
struct TwoBasesAndOwn : SmallArch, Conventions {
  [[maybe_unused]] static constexpr Settings settings{.num_classes = 10};
};
struct OneBase : LargeArch, Conventions {};
struct OneBaseAndOwn : LargeArch, Conventions {
  static constexpr Settings settings{.num_classes = 10};
};
static_assert(broken_by<TwoBases> == Rule::settings_from_one_base);
static_assert(broken_by<TwoBasesAndOwn> == Rule::settings_from_one_base);
static_assert(broken_by<OneBase> == Rule::none);
static_assert(definition_of<OneBase>.settings.dropout == 0);
static_assert(definition_of<OneBaseAndOwn>.settings.dropout == 0);

// Members that were settings once, and what people write for them; static or not.
struct Classes : SmallArch {
  static constexpr int num_classes = 10;
};
struct NotStaticClasses : SmallArch {
  int num_classes = 10;
};
struct Misspelled : SmallArch {
  static constexpr int n_classes = 10;
};
static_assert(broken_by<Classes> == Rule::members_in_settings);
static_assert(broken_by<NotStaticClasses> == Rule::members_in_settings);
static_assert(broken_by<Misspelled> == Rule::members_in_settings);
static_assert(
    std::is_same_v<config::detail::misplaced_member<Misspelled>, config::misplaced::n_classes>);
static_assert(std::is_void_v<config::detail::misplaced_member<SmallArch>>);

// One's own members are one's own.
struct Named : SmallArch {
  [[maybe_unused]] static constexpr const char* title = "mine";
  static constexpr int rows() { return 11; }
};
static_assert(broken_by<Named> == Rule::none);

// Well declared, but the table breaks a rule.
struct WrongTable {
  static constexpr std::array<InvertedResidualConfig, 1> blocks{};
};
static_assert(broken_by<WrongTable> == Rule::none && !is_valid<WrongTable>());

}  // namespace
