// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/stride.hpp>
#include <mnv3/config/taps.hpp>

namespace mnv3 {

namespace config::detail {

/// How many outputs a network with these taps has: without taps one, the logits.
template <class Taps>
inline constexpr std::size_t output_count = std::max<std::size_t>(1, Taps::requests.size());

/// One field of every tap.
template <class Arch, class Taps, bool legal, class Field>
constexpr auto tap_fields(Field TapInfo::*field) {
  std::array<Field, output_count<Taps>> values{};
  if constexpr (legal) {
    constexpr auto info = tap_info_of<Arch, Taps>();
    for (std::size_t i = 0; i < info.size(); ++i) values[i] = info[i].*field;
  }
  return values;
}

/// The stride of every tap: numbers, unless one of them differs between the axes.
template <class Arch, class Taps, bool legal>
constexpr auto tap_strides() {
  constexpr auto strides = tap_fields<Arch, Taps, legal>(&TapInfo::stride);
  if constexpr (std::ranges::all_of(strides, &Stride::is_square)) {
    std::array<int, strides.size()> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = strides[i].height;
    return values;
  } else {
    return strides;
  }
}

}  // namespace config::detail

/// What is known of the outputs of a network with these taps; zeros where it was refused (`legal` is
/// false), so that the compiler reports nothing else.
template <class Arch, class Taps, bool legal = true>
struct OutputsOf {
  static constexpr std::size_t count = config::detail::output_count<Taps>;
  static constexpr auto channels =
      config::detail::tap_fields<Arch, Taps, legal>(&TapInfo::channels);
  /// Input pixels for each output pixel; 0 for `pooled`, `embedding` and `logits`.
  static constexpr auto strides = config::detail::tap_strides<Arch, Taps, legal>();
  /// Index in `features` of each tap; -1 for `pooled`, `embedding` and `logits`.
  static constexpr auto feature_indices =
      config::detail::tap_fields<Arch, Taps, legal>(&TapInfo::feature);
};

}  // namespace mnv3
