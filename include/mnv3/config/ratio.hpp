// SPDX-License-Identifier: MIT
#pragma once

namespace mnv3::config::detail {

/// A `std::ratio` as a number.
template <class Ratio>
inline constexpr double value_of = static_cast<double>(Ratio::num) / Ratio::den;

}  // namespace mnv3::config::detail
