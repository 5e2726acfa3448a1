// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/declaration.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/stages.hpp>
#include <mnv3/config/taps.hpp>

// The rules as compiler errors of two lines: the sentence, then a type that is never defined and
// whose arguments are the values.

namespace mnv3::config {

template <int Row> struct at_block;
template <int Value> struct got;
template <int Value> struct expected;
template <class Arch, class... Details> struct architecture_error;

/// Weights of the architecture `Checkpoint` in a network of the architecture `Arch`.
template <class Arch, class Checkpoint, class... Details> struct checkpoint_error;

/// Numbers, or strides that differ between the axes.
template <auto... Values> struct available;
template <class Tap> struct comes_before;
template <class Arch, class Tap, class... Details> struct tap_error;

template <class Arch, Stage Name> struct stage_error;

template <int Index> struct last_is;
template <int Index, class... Details> struct feature_error;
template <class Arch, class Block> struct block_error;

namespace detail {

/// Makes the compiler print a type by needing it complete.
template <class Incomplete>
constexpr void show() {
  static_assert(sizeof(Incomplete) > 0);
}
/// The same, for a function that has to return something.
template <class Incomplete, class Value>
constexpr Value& show(Value& value) {
  show<Incomplete>();
  return value;
}

template <int Index, class Taps>
struct tap_type_of;
template <int Index, class... Taps>
struct tap_type_of<Index, taps<Taps...>> {
  using type = std::tuple_element_t<Index, std::tuple<Taps...>>;
};
template <int Index, class Taps>
using tap_type = typename tap_type_of<Index, Taps>::type;

/// The values that a tap of the kind of `Tap` may have in `Arch`, ascending.
template <architecture Arch, class Tap>
struct available_values {
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr bool is_stride = Tap::request.kind == TapRequest::Kind::at_stride ||
                                    Tap::request.kind == TapRequest::Kind::first_at_stride;

  /// Whether feature `i` is one, or brings a new stride.
  static constexpr bool legal(int i) {
    if (is_stride) return i == 0 || output_stride(net, i) != output_stride(net, i - 1);
    return position_of(net, TapRequest{.kind = Tap::request.kind, .value = i}) >= 0;
  }
  static constexpr std::size_t count = [] {
    std::size_t n = 0;
    for (int i = 0; i < feature_count(net); ++i) n += legal(i);
    return n;
  }();
  static constexpr std::array<int, count> features = [] {
    std::array<int, count> found{};
    std::size_t next = 0;
    for (int i = 0; i < feature_count(net); ++i)
      if (legal(i)) found[next++] = i;
    return found;
  }();
  static constexpr bool is_square = [] {
    for (const int i : features)
      if (!output_stride(net, i).is_square()) return false;
    return true;
  }();
  template <std::size_t I>
  static constexpr auto value() {
    if constexpr (!is_stride)
      return features[I];
    else if constexpr (is_square)
      return output_stride(net, features[I]).height;
    else
      return output_stride(net, features[I]);
  }
  template <std::size_t... I>
  static available<value<I>()...> as_type(std::index_sequence<I...>);
};
template <architecture Arch, class Tap>
using available_for = decltype(available_values<Arch, Tap>::as_type(
    std::make_index_sequence<available_values<Arch, Tap>::count>{}));

}  // namespace detail

}  // namespace mnv3::config

namespace mnv3 {

namespace config::detail {

/// Makes the compiler say that the settings of `Arch` are no constant. Where it has said already
/// that they do not compile, it adds nothing.
template <class Arch>
constexpr auto show_settings() {
  constexpr Settings settings = Arch::settings;
  return settings.num_classes.value();
}

template <class Arch>
constexpr bool verify_known() {
  constexpr Verdict v = [] {
    constexpr Verdict declared = check_declaration<Arch>();
    if constexpr (declared.ok())
      return check(definition_of<Arch>);
    else
      return declared;
  }();
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_DECLARATION_RULES(MNV3_RULE)
  MNV3_ARCHITECTURE_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (v.rule == Rule::members_in_settings)
    show<architecture_error<Arch, misplaced_member<Arch>>>();
  else if constexpr (!v.ok() && !check_declaration<Arch>().ok())
    show<architecture_error<Arch>>();
  else if constexpr (!v.ok() && v.index >= 0)
    show<architecture_error<Arch, at_block<v.index>, got<v.got>, expected<v.expected>>>();
  else if constexpr (!v.ok())
    show<architecture_error<Arch, got<v.got>, expected<v.expected>>>();
  return true;
}

}  // namespace config::detail

/// Refuses to compile where `Arch` is no architecture or breaks a rule. Always true, so that it can
/// stand in a static_assert.
template <class Arch>
constexpr bool verify() {
  if constexpr (check_declaration<Arch>().rule == Rule::settings_are_known) {
    using shown = decltype(config::detail::show_settings<Arch>());
    return sizeof(shown) > 0;
  } else {
    return config::detail::verify_known<Arch>();
  }
}

/// Refuses to compile where the blocks of `Arch` are modules of its own: whatever asks for more of
/// them than the table says. Always true.
template <architecture Arch>
constexpr bool verify_blocks_known() {
  constexpr Verdict v{.rule = has_own_block<Arch> ? Rule::blocks_known : Rule::none};
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_BLOCK_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (!v.ok()) config::detail::show<config::architecture_error<Arch>>();
  return true;
}

/// Refuses to compile where nobody knows before run time how many classes `Arch` has: whatever asks
/// for the size of its logits. Always true.
template <architecture Arch, class Taps>
constexpr bool verify_classes_known() {
  constexpr bool dynamic = has_dynamic_classes(definition_of<Arch>, reach_of<Arch, Taps>());
  constexpr Verdict v{.rule = dynamic ? Rule::classes_known : Rule::none};
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_CLASS_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (!v.ok()) config::detail::show<config::architecture_error<Arch>>();
  return true;
}

/// Refuses to compile with the reason where a part of a network cannot be had. Always true.
template <architecture Arch, Rule rule, Stage stage = stem>
constexpr bool verify_part() {
#define MNV3_RULE(name, sentence) static_assert(rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_PART_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (rule == Rule::stage_exists || rule == Rule::stage_thaws)
    config::detail::show<config::stage_error<Arch, stage>>();
  else if constexpr (rule != Rule::none)
    config::detail::show<config::architecture_error<Arch>>();
  return true;
}

/// Refuses to compile where weights of `Checkpoint` would not mean the same in `Arch`; both must be
/// legal. Always true.
template <architecture Arch, architecture Checkpoint>
constexpr bool verify_checkpoint() {
  using namespace config;
  constexpr Verdict v = check_checkpoint(definition_of<Arch>, definition_of<Checkpoint>);
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_CHECKPOINT_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (!v.ok() && v.index >= 0)
    config::detail::show<checkpoint_error<Arch, Checkpoint, at_block<v.index>, got<v.got>,
                                  expected<v.expected>>>();
  else if constexpr (!v.ok())
    config::detail::show<checkpoint_error<Arch, Checkpoint, got<v.got>, expected<v.expected>>>();
  return true;
}

/// Refuses to compile where `Taps` breaks a rule for `Arch`, which must be legal. Always true.
template <architecture Arch, class Taps>
constexpr bool verify_taps() {
  using namespace config;
  constexpr Verdict v = check_taps(definition_of<Arch>, Taps::requests);
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_TAP_RULES(MNV3_RULE)
  MNV3_BLOCK_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (v.rule == Rule::blocks_known)
    config::detail::show<tap_error<Arch, config::detail::tap_type<v.index, Taps>>>();
  else if constexpr (v.rule == Rule::taps_differ || v.rule == Rule::taps_ascend)
    config::detail::show<tap_error<Arch, config::detail::tap_type<v.index, Taps>,
                           comes_before<config::detail::tap_type<v.index - 1, Taps>>>>();
  else if constexpr (!v.ok())
    config::detail::show<tap_error<
        Arch, config::detail::tap_type<v.index, Taps>,
        config::detail::available_for<Arch, config::detail::tap_type<v.index, Taps>>>>();
  return true;
}

}  // namespace mnv3
