// SPDX-License-Identifier: MIT
// More channels than a network can normalise itself.
// expect: std::length_error
// errors: 1
#include <mnv3/config.hpp>

#ifdef MNV3_FIXED
constexpr std::array<double, 64> values{};
#else
constexpr std::array<double, 65> values{};
#endif
constexpr mnv3::Input input{.channels = static_cast<int>(values.size()), .mean = values};
