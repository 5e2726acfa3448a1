// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <stdexcept>

namespace mnv3 {

/// One value for each channel of a picture, or none at all. It holds the values, so that it can be
/// made from a list: `{0.485, 0.456, 0.406}`.
class ChannelValues {
 public:
  static constexpr std::size_t most = 64;

  constexpr ChannelValues() = default;
  /// None, said: an architecture that derives from another one does not take that one's.
  static constexpr ChannelValues none() { return std::span<const double>(); }
  /// Errors  std::length_error if there are more than `most`: a compiler error in a constant.
  constexpr ChannelValues(std::span<const double> values)
      : size_(values.size()), is_given_(true) {
    if (size_ > most) throw std::length_error("mnv3: at most 64 channels can be normalised inside");
    for (std::size_t i = 0; i < size_; ++i) values_[i] = values[i];
  }
  constexpr ChannelValues(std::initializer_list<double> values)
      : ChannelValues(std::span(values.begin(), values.size())) {}
  template <std::size_t N>
  constexpr ChannelValues(const std::array<double, N>& values)
      : ChannelValues(std::span<const double>(values)) {}

  constexpr std::size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr bool is_given() const { return is_given_; }
  constexpr double operator[](std::size_t i) const { return values_[i]; }
  constexpr const double* begin() const { return values_.data(); }
  constexpr const double* end() const { return values_.data() + size_; }

  friend constexpr bool operator==(const ChannelValues& a, const ChannelValues& b) {
    return a.size_ == b.size_ && a.values_ == b.values_;
  }

 private:
  std::array<double, most> values_{};
  std::size_t size_ = 0;
  bool is_given_ = false;
};

}  // namespace mnv3
