// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <type_traits>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/rules.hpp>

// Whether a struct is written as an architecture has to be: what is decided before its table is
// looked at.

/// Members that look like settings: those that architectures had beside `blocks` before there was
/// `settings`, and what people write for them.
#define MNV3_MISPLACED_MEMBERS(MEMBER)                                                            \
  MEMBER(input)                                                                                   \
  MEMBER(input_channels)                                                                          \
  MEMBER(in_channels)                                                                             \
  MEMBER(num_classes)                                                                             \
  MEMBER(num_class)                                                                               \
  MEMBER(n_classes)                                                                               \
  MEMBER(nb_classes)                                                                              \
  MEMBER(classes)                                                                                 \
  MEMBER(last_channel)                                                                            \
  MEMBER(dropout)                                                                                 \
  MEMBER(norm)                                                                                    \
  MEMBER(norm_layer)                                                                              \
  MEMBER(norm_eps)                                                                                \
  MEMBER(norm_momentum)                                                                           \
  MEMBER(norm_groups)                                                                             \
  MEMBER(batch_norm_eps)                                                                          \
  MEMBER(batch_norm_momentum)                                                                     \
  MEMBER(padding)                                                                                 \
  MEMBER(squeeze)                                                                                 \
  MEMBER(activation)                                                                              \
  MEMBER(pooling)                                                                                 \
  MEMBER(closing_layers)                                                                          \
  MEMBER(closing_channels)                                                                        \
  MEMBER(hidden_layer)                                                                            \
  MEMBER(hidden_bias)                                                                             \
  MEMBER(names)                                                                                   \
  MEMBER(stages)                                                                                  \
  MEMBER(frozen)

namespace mnv3::config {

/// The names of such members, for the compiler to print.
namespace misplaced {
#define MNV3_MEMBER(name) struct name;
MNV3_MISPLACED_MEMBERS(MNV3_MEMBER)
#undef MNV3_MEMBER
}  // namespace misplaced

namespace detail {

template <class Arch>
constexpr auto find_misplaced() {
#define MNV3_MEMBER(name)             \
  if constexpr (requires { Arch::name; }) \
    return std::type_identity<misplaced::name>{}; \
  else
  MNV3_MISPLACED_MEMBERS(MNV3_MEMBER)
#undef MNV3_MEMBER
  return std::type_identity<void>{};
}

template <class Arch>
concept settings_are_settings = requires(void (&take)(const Settings*)) { take(&Arch::settings); };

/// Whether the compiler can compute with the settings of `Arch`. Where they are misspelled, clang
/// goes on as if they were a constant all the same: so it is asked twice. And it believes an answer
/// to a concept, but not to the same expression in a function.
template <const Settings& Given>
inline constexpr bool is_known = __builtin_constant_p(Given.num_classes.value());
template <class Arch>
concept settings_are_known = is_known<Arch::settings> && requires {
  typename std::bool_constant<(static_cast<void>(Settings(Arch::settings)), true)>;
};

#undef MNV3_MISPLACED_MEMBERS

/// The first such member that `Arch` has, static or not; void where it has none.
template <class Arch>
using misplaced_member = typename decltype(find_misplaced<Arch>())::type;

}  // namespace detail
}  // namespace mnv3::config

namespace mnv3 {

/// The verdict on how `Arch` is written.
template <class Arch>
constexpr Verdict check_declaration() {
  if constexpr (!requires { {std::span<const InvertedResidualConfig>(Arch::blocks)}; }) {
    return {.rule = Rule::is_architecture};
  } else if constexpr (!std::is_void_v<config::detail::misplaced_member<Arch>>) {
    return {.rule = Rule::members_in_settings};
  } else if constexpr (!architecture<Arch>) {
    return {.rule = Rule::members_are_static};
  } else if constexpr (config::detail::base_settings<Arch>().count > 1) {
    return {.rule = Rule::settings_from_one_base};
  } else if constexpr (requires { Arch::settings; }) {
    if constexpr (!config::detail::settings_are_settings<Arch>)
      return {.rule = Rule::settings_are_settings};
    else if constexpr (!config::detail::settings_are_known<Arch>)
      return {.rule = Rule::settings_are_known};
  }
  return {};
}

/// Whether `Arch` is an architecture that breaks no rule.
template <class Arch>
constexpr bool is_valid() {
  if constexpr (check_declaration<Arch>().ok())
    return check(definition_of<Arch>).ok();
  else
    return false;
}

}  // namespace mnv3
