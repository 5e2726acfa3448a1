// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <mnv3/config/block.hpp>
#include <mnv3/config/settings.hpp>

namespace mnv3 {

/// Any struct of static members with a table `blocks` is an architecture. It may have `static
/// constexpr mnv3::Settings settings`, and a template `block` for blocks of its own. One that
/// derives from another architecture keeps of its settings what its own do not give.
template <class Arch>
concept architecture = std::is_empty_v<Arch> && std::is_aggregate_v<Arch> && requires {
  {std::span<const InvertedResidualConfig>(Arch::blocks)};
};

/// Whether `Arch` says anything besides its table.
template <class Arch>
concept has_settings = requires {
  requires std::same_as<std::remove_cvref_t<decltype(Arch::settings)>, Settings>;
};

/// Whether the blocks of `Arch` are modules of its own, which the table does not describe: a member
/// `template <mnv3::InvertedResidualConfig Row> class block`.
template <class Arch>
concept has_own_block = architecture<Arch> && requires {
  typename Arch::template block<Arch::blocks[0]>;
};

/// An architecture as a value: the same for the compiler, a run-time caller and the tests.
struct Definition {
  std::span<const InvertedResidualConfig> blocks;
  Settings settings{};
  bool has_own_block = false;  ///< The blocks are modules that the table does not describe.
};

namespace config::detail {

/// What the base classes of an architecture have.
struct BaseSettings {
  const Settings* found = nullptr;
  int count = 0;  ///< More than one: nobody could tell which of them count.
};

/// Converts to any base class of an architecture, and finds the settings of those that have some.
template <class Arch>
struct BaseProbe {
  BaseSettings* bases;

  template <class Base>
  requires(std::is_base_of_v<Base, Arch> && !std::is_same_v<Base, Arch>) constexpr operator Base()
      const;
};

/// Whether `Arch` has at least as many base classes as there are indices: it is an aggregate, whose
/// bases are its elements.
template <class Arch, class Indices>
inline constexpr bool has_bases = false;
template <class Arch, std::size_t... I>
inline constexpr bool has_bases<Arch, std::index_sequence<I...>> = requires(BaseProbe<Arch> probe) {
  Arch{(static_cast<void>(I), probe)...};
};

/// The settings of the base classes of `Arch`, of which it has at most `Most`.
template <class Arch, std::size_t Most = 8>
constexpr BaseSettings base_settings() {
  using Indices = std::make_index_sequence<Most>;
  if constexpr (Most > 0 && !has_bases<Arch, Indices>) {
    return base_settings<Arch, Most - 1>();
  } else {
    BaseSettings bases;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      static_cast<void>(Arch{(static_cast<void>(I), BaseProbe<Arch>{&bases})...});
    }(Indices{});
    return bases;
  }
}

/// The settings of `Arch` and, where these give nothing, of what it derives from.
template <class Arch>
inline constexpr Settings settings_of = [] {
  if constexpr (has_settings<Arch>) {
    // Not by comparing the pointer with null, which g++ 12 takes for no constant under UBSan.
    const BaseSettings bases = base_settings<Arch>();
    return bases.count == 1 ? inherited(Arch::settings, *bases.found) : Arch::settings;
  } else {
    return Settings{};
  }
}();

template <class Arch>
template <class Base>
requires(std::is_base_of_v<Base, Arch> &&
         !std::is_same_v<Base, Arch>) constexpr BaseProbe<Arch>::operator Base() const {
  if constexpr (has_settings<Base>) {
    bases->found = &settings_of<Base>;
    ++bases->count;
  }
  // Two of its own bases have settings, and so it has none by name: nobody could tell, either.
  if constexpr (base_settings<Base>().count > 1) bases->count += 2;
  return Base{};
}

/// The rows of `Arch` with their own `width_mult` carried out.
template <class Arch>
inline constexpr auto adjusted_rows = [] {
  std::array<InvertedResidualConfig, std::size(Arch::blocks)> rows{};
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = adjusted(Arch::blocks[i]);
  return rows;
}();

template <class Arch>
constexpr std::span<const InvertedResidualConfig> rows_of() {
  constexpr bool as_written = [] {
    for (const InvertedResidualConfig& row : Arch::blocks)
      if (adjusted(row) != row) return false;
    return true;
  }();
  if constexpr (as_written)
    return Arch::blocks;
  else
    return adjusted_rows<Arch>;
}

}  // namespace config::detail

/// The table and the settings of `Arch`; an empty one where it is no architecture.
template <class Arch>
inline constexpr Definition definition_of{};
template <architecture Arch>
inline constexpr Definition definition_of<Arch>{
    config::detail::rows_of<Arch>(), config::detail::settings_of<Arch>, has_own_block<Arch>};

}  // namespace mnv3
