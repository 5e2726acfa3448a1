// SPDX-License-Identifier: MIT
#include "kernels/subject.hpp"

namespace kernels {

namespace {

// Two channels, normalised inside.
struct TappedArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {5, 3, 5, 5, true, RE, 1},
      {5, 3, 21, 13, false, HS, 2},
      {13, 5, 40, 13, true, HS, 1},
      {13, 5, 50, 24, true, RE, 1, 2},
  });
  static constexpr std::array mean{0.45, 0.5}, std{0.225, 0.3};
  static constexpr mnv3::Settings settings{.input{.channels = 2, .mean = mean, .std = std},
                                           .num_classes = 7,
                                           .last_channel = 33,
                                           .closing_layers = 2};
};

using namespace mnv3;
using EveryTap = taps<after<0>, after<1>, expansion<2>, after<2>, expansion<3>, after<3>,
                      expansion<4>, after<4>, after<5>, after<6>, embedding, logits>;

}  // namespace

std::unique_ptr<Subject> every_tap() {
  return std::make_unique<TypedSubject<TappedArch, EveryTap>>("every tap");
}
std::unique_ptr<Subject> every_tap_in_bfloat16() {
  return std::make_unique<TypedSubject<TappedArch, EveryTap, mnv3::engine::Bfloat16>>(
      "every tap, bfloat16");
}

}  // namespace kernels
