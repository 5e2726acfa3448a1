// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mnv3::weights {

namespace detail {

inline void append(std::string& to, std::string_view part) { to += part; }
inline void append(std::string& to, std::same_as<char> auto part) { to += part; }

/// A number in decimal digits.
template <std::integral Integer>
requires(!std::same_as<Integer, char> && !std::same_as<Integer, bool>) void append(std::string& to,
                                                                                   Integer number) {
  char digits[24];  // of 64 bits, with a sign
  to.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

/// As `%g` has it, whatever the locale is.
inline void append(std::string& to, std::same_as<double> auto number) {
  char digits[32];
  constexpr int precision = 6;
  to.append(digits, std::to_chars(digits, digits + sizeof digits, number,
                                  std::chars_format::general, precision)
                        .ptr);
}

/// A shape as Python has it: "[16, 3, 3, 3]".
inline void append(std::string& to, std::span<const std::int64_t> shape) {
  to += '[';
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) to += ", ";
    append(to, shape[i]);
  }
  to += ']';
}

}  // namespace detail

/// Its arguments in a row: texts, characters, numbers, shapes.
///
/// Why not fmt: what reads weights needs no library, and would need it for messages alone.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string whole;
  (detail::append(whole, parts), ...);
  return whole;
}

/// The lowest hexadecimal digits of a number.
inline std::string hex(std::uint64_t number, int digits) {
  std::string shown(static_cast<std::size_t>(digits), '0');
  for (std::size_t at = shown.size(); at-- > 0; number >>= 4)
    shown[at] = "0123456789abcdef"[number & 0xf];
  return shown;
}

}  // namespace mnv3::weights
