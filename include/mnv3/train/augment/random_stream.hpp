// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace mnv3::train {

/// Random numbers that are a function of a few whole numbers and of nothing else: neither of what
/// was drawn elsewhere, nor of the thread, nor of the standard library. The stream of one picture
/// in one epoch is `RandomStream(seed, epoch, index)`; making one costs a few multiplications.
/// Source  Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators",
///         SplitMix64.
class RandomStream {
 public:
  template <class... Keys>
  explicit RandomStream(std::uint64_t seed, Keys... keys) : state_(mixed(seed + step)) {
    // The product tells (1, 2) from (2, 1).
    (..., (state_ = mixed(state_ * step + mixed(static_cast<std::uint64_t>(keys) + step))));
  }

  /// Another stream, which is a function of what this one is now and of `key`.
  RandomStream split(std::int64_t key) const { return RandomStream(state_, key); }

  std::uint64_t bits() { return mixed(state_ += step); }

  /// From 0 on and below 1.
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

  /// From `low` on and below `high`; `low` if they are equal.
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// A whole number from 0 on and below `end`, which is at least 1.
  std::int64_t below(std::int64_t end) {
    // A remainder favours small numbers, so bits that would do so are drawn again.
    const auto range = static_cast<std::uint64_t>(end);
    const std::uint64_t unfair = (0 - range) % range;
    std::uint64_t drawn = bits();
    while (drawn < unfair) drawn = bits();
    return static_cast<std::int64_t>(drawn % range);
  }

  bool chance(double probability) { return uniform() < probability; }

  /// Of mean 0 and deviation 1.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  static constexpr std::uint64_t step = 0x9e3779b97f4a7c15;  ///< 2^64 over the golden ratio, odd.

  static std::uint64_t mixed(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

}  // namespace mnv3::train
