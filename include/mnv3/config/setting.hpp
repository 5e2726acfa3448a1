// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace mnv3 {

/// The value that a setting has where none is given.
template <class T>
struct ByDefault {
  T value;
};

template <class T>
constexpr ByDefault<T> by_default(T value) {
  return {value};
}

/// Whether a `T` may be given as a `U`: without losing anything, and without surprise.
template <class U, class T>
concept given_as = std::same_as<U, T> ||
    (std::is_arithmetic_v<U> && !std::same_as<U, bool> && !std::same_as<U, char> &&
     (std::floating_point<T> || (std::same_as<T, int> && std::integral<U>)));

/// A value that remembers whether it was given, so that an architecture that derives from another
/// one keeps what it does not give itself.
template <class T>
class Setting {
 public:
  constexpr Setting(ByDefault<T> fallback) : value_(fallback.value) {}
  /// Errors  std::out_of_range if no `T` is as large: a compiler error in a constant.
  template <given_as<T> U>
  constexpr Setting(U value) : value_(static_cast<T>(value)), is_given_(true) {
    if constexpr (std::integral<U> && !std::same_as<U, T> && std::same_as<T, int>)
      if (!std::in_range<int>(value))
        throw std::out_of_range("mnv3: a setting must be within the range of int");
  }

  constexpr operator T() const { return value_; }
  constexpr T value() const { return value_; }
  constexpr bool is_given() const { return is_given_; }

 private:
  T value_;
  bool is_given_ = false;
};

}  // namespace mnv3
