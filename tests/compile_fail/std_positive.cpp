// SPDX-License-Identifier: MIT
// A deviation below 0. In thousandths: an int is what all compilers can print.
// expect: mnv3: \[std_positive\]
// expect: architecture_error<Broken, mnv3::got<-250>, mnv3::expected<1> ?>
#include <mnv3/config.hpp>

struct Broken : mnv3::SmallArch {
  static constexpr std::array mean{0.5};
#ifdef MNV3_FIXED
  static constexpr std::array std{0.25};
#else
  static constexpr std::array std{-0.25};
#endif
  static constexpr mnv3::Input input{.channels = 1, .mean = mean, .std = std};
};
static_assert(mnv3::verify<Broken>());
