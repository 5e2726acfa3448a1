// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace mnv3 {

// In the order in which they run.
#define MNV3_STAGES(STAGE)                                                                  \
  STAGE(stem)                                                                               \
  STAGE(C1) STAGE(C2) STAGE(C3) STAGE(C4) STAGE(C5) STAGE(C6) STAGE(C7) STAGE(C8) STAGE(C9) \
      STAGE(classifier)

/// Parts of a network in the order in which they run: `stem` is `features.0` and the rows before the
/// first that strides, each of `C1` to `C9` begins with a row that does, the closing convolutions
/// are the one after the last of these, and `classifier` is all that is after the features.
#define MNV3_STAGE(name) name,
enum class Stage { MNV3_STAGES(MNV3_STAGE) };
using enum Stage;

/// All stages there can be, in order.
inline constexpr std::array all_stages{MNV3_STAGES(MNV3_STAGE)};
#undef MNV3_STAGE

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
#define MNV3_STAGE(name) #name,
  constexpr std::array names{MNV3_STAGES(MNV3_STAGE)};
#undef MNV3_STAGE
  return names[static_cast<std::size_t>(stage)];
}

#undef MNV3_STAGES

}  // namespace mnv3
