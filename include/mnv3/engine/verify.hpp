// SPDX-License-Identifier: MIT
#pragma once

#include <mnv3/config/arch.hpp>
#include <mnv3/config/declaration.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/taps.hpp>

// Which networks the engine runs, as compiler errors where it does not.

namespace mnv3::engine {

/// Whether the kernels run `Arch`: group norm depends on the picture, which they do not know.
template <class Arch>
inline constexpr bool has_kernels = [] {
  switch (definition_of<Arch>.settings.norm) {
    case Norm::batch:
    case Norm::frozen_batch:
    case Norm::none:
      return true;
    case Norm::group:
      return false;
  }
  return false;
}();

/// Refuses to compile what the kernels are needed for where they cannot run `Arch`. Always true.
template <class Arch>
constexpr bool verify_kernels() {
  constexpr Rule rule = has_kernels<Arch> ? Rule::none : Rule::kernels_run_norm;
#define MNV3_RULE(name, sentence) static_assert(rule != Rule::name, "mnv3: [" #name "] " sentence);
  MNV3_KERNEL_RULES(MNV3_RULE)
#undef MNV3_RULE
  if constexpr (!has_kernels<Arch>) config::detail::show<config::architecture_error<Arch>>();
  return true;
}

/// Whether the engine runs a network; refuses to compile with the reason where it does not.
template <class Arch, class Taps>
constexpr bool is_runnable() {
  static_assert(verify<Arch>());
  if constexpr (is_valid<Arch>()) {
    static_assert(verify_blocks_known<Arch>());
    if constexpr (!has_own_block<Arch>) {
      static_assert(verify_taps<Arch, Taps>());
      if constexpr (check_taps(definition_of<Arch>, Taps::requests).ok()) {
        static_assert(verify_classes_known<Arch, Taps>());
        static_assert(verify_kernels<Arch>());
        return has_kernels<Arch> &&
               !has_dynamic_classes(definition_of<Arch>, reach_of<Arch, Taps>());
      }
    }
  }
  return false;
}

}  // namespace mnv3::engine
