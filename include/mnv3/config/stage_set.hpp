// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace mnv3 {

/// Parts of a network in the order in which they run. Each stage but the first begins with a row
/// that strides; the closing convolutions are the stage after the last of these.
enum class Stage {
  stem,  ///< `features.0` and the rows before the first that strides.
  C1,
  C2,
  C3,
  C4,
  C5,
  C6,
  C7,
  C8,
  C9,
  classifier,  ///< All that is after the features.
};
using enum Stage;

/// All stages there can be, in order.
inline constexpr std::array all_stages{stem, C1, C2, C3, C4, C5, C6, C7, C8, C9, classifier};

/// Some of the stages.
class StageSet {
 public:
  constexpr StageSet() = default;
  constexpr StageSet(std::initializer_list<Stage> stages) {
    for (const Stage stage : stages) bits_ |= bit(stage);
  }

  constexpr bool contains(Stage stage) const { return (bits_ & bit(stage)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  friend constexpr StageSet operator|(StageSet a, StageSet b) {
    a.bits_ |= b.bits_;
    return a;
  }
  friend constexpr bool operator==(StageSet, StageSet) = default;

 private:
  static constexpr std::uint32_t bit(Stage stage) {
    return std::uint32_t{1} << static_cast<int>(stage);
  }
  std::uint32_t bits_ = 0;
};

/// "stem", "C1", ...
constexpr const char* name_of(Stage stage) {
  constexpr std::array names{"stem", "C1", "C2", "C3", "C4",        "C5",
                             "C6",   "C7", "C8", "C9", "classifier"};
  return names[static_cast<std::size_t>(stage)];
}

}  // namespace mnv3
