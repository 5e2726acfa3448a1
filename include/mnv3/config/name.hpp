// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string_view>

namespace mnv3 {

/// A dotted state-dict name, without allocation.
class Name {
 public:
  static constexpr std::size_t capacity = 96;  ///< The longest known, of another family, has 66.

  constexpr Name& operator+=(std::string_view text) {
    for (const char c : text) {
      if (size_ == capacity) throw std::length_error("mnv3: a name has more than 96 characters");
      text_[size_++] = c;
    }
    return *this;
  }
  constexpr Name& operator+=(int number) {
    if (number >= 10) *this += number / 10;
    const char digit = static_cast<char>('0' + number % 10);
    return *this += std::string_view(&digit, 1);
  }
  template <class Part>
  friend constexpr Name operator+(Name name, const Part& part) {
    return name += part;
  }
  constexpr std::string_view view() const { return {text_.data(), size_}; }
  constexpr operator std::string_view() const { return view(); }

 private:
  std::array<char, capacity> text_{};
  std::size_t size_ = 0;
};

}  // namespace mnv3
