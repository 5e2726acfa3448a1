// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/taps.hpp>

// The rules as compiler errors of two lines: the sentence, then a type that is never defined and
// whose arguments are the values.

namespace mnv3 {

template <int Row> struct at_block;
template <int Value> struct got;
template <int Value> struct expected;
template <class Arch, class... Details> struct architecture_error;

/// Weights of the architecture `Checkpoint` in a network of the architecture `Arch`.
template <class Arch, class Checkpoint, class... Details> struct checkpoint_error;

template <int... Values> struct available;
template <class Tap> struct comes_before;
template <class Arch, class Tap, class Detail> struct tap_error;

namespace detail {

/// Makes the compiler print a type by needing it complete.
template <class Incomplete>
constexpr void show() {
  static_assert(sizeof(Incomplete) > 0);
}

template <int Index, class Taps>
struct tap_type_of;
template <int Index, class... Taps>
struct tap_type_of<Index, taps<Taps...>> {
  using type = std::tuple_element_t<Index, std::tuple<Taps...>>;
};
template <int Index, class Taps>
using tap_type = typename tap_type_of<Index, Taps>::type;

/// The values that a tap of the kind of `Tap` may have in `Arch`.
template <architecture Arch, class Tap>
struct available_values {
  static constexpr bool legal(int value) {
    return position_of(definition_of<Arch>, TapRequest{Tap::request.kind, value}) >= 0;
  }
  static constexpr int closing = feature_count(definition_of<Arch>) - 1;
  static constexpr int count_up_to = std::max(closing, output_stride(definition_of<Arch>, closing));
  static constexpr std::size_t count = [] {
    std::size_t n = 0;
    for (int value = 0; value <= count_up_to; ++value) n += legal(value);
    return n;
  }();
  static constexpr auto values = [] {
    std::array<int, count> found{};
    std::size_t next = 0;
    for (int value = 0; value <= count_up_to; ++value)
      if (legal(value)) found[next++] = value;
    return found;
  }();
  template <std::size_t... I>
  static available<values[I]...> as_type(std::index_sequence<I...>);
};
template <architecture Arch, class Tap>
using available_for = decltype(available_values<Arch, Tap>::as_type(
    std::make_index_sequence<available_values<Arch, Tap>::count>{}));

}  // namespace detail

/// Refuses to compile where `Arch` breaks a rule. Always true, so that it can stand in a
/// static_assert.
template <architecture Arch>
constexpr bool verify() {
  constexpr Verdict v = check(definition_of<Arch>);
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_ARCHITECTURE_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (!v.ok() && v.index >= 0)
    detail::show<architecture_error<Arch, at_block<v.index>, got<v.got>, expected<v.expected>>>();
  else if constexpr (!v.ok())
    detail::show<architecture_error<Arch, got<v.got>, expected<v.expected>>>();
  return true;
}

/// Refuses to compile where weights of `Checkpoint` would not mean the same in `Arch`; both must be
/// legal. Always true.
template <architecture Arch, architecture Checkpoint>
constexpr bool verify_checkpoint() {
  constexpr Verdict v = check_checkpoint(definition_of<Arch>, definition_of<Checkpoint>);
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_CHECKPOINT_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (!v.ok() && v.index >= 0)
    detail::show<checkpoint_error<Arch, Checkpoint, at_block<v.index>, got<v.got>,
                                  expected<v.expected>>>();
  else if constexpr (!v.ok())
    detail::show<checkpoint_error<Arch, Checkpoint, got<v.got>, expected<v.expected>>>();
  return true;
}

/// Refuses to compile where `Taps` breaks a rule for `Arch`, which must be legal. Always true.
template <architecture Arch, class Taps>
constexpr bool verify_taps() {
  constexpr Verdict v = check_taps(definition_of<Arch>, Taps::requests);
#define MNV3_RULE(name, sentence) \
  static_assert(v.rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_TAP_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (v.rule == Rule::taps_differ || v.rule == Rule::taps_ascend)
    detail::show<tap_error<Arch, detail::tap_type<v.index, Taps>,
                           comes_before<detail::tap_type<v.index - 1, Taps>>>>();
  else if constexpr (!v.ok())
    detail::show<tap_error<Arch, detail::tap_type<v.index, Taps>,
                           detail::available_for<Arch, detail::tap_type<v.index, Taps>>>>();
  return true;
}

}  // namespace mnv3
