// SPDX-License-Identifier: MIT
#include "kernels/subject.hpp"

namespace kernels {

namespace {

// One grey channel; other conventions than torchvision's; the network ends inside a block.
struct GreyArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {8, 7, 8, 17, false, HS, 2},
      {17, 3, 72, 32, true, HS, 1, 4},
      {32, 5, 100, 32, false, RE, 1},
  });
  static constexpr mnv3::Settings settings{
      .input{.channels = 1},
      .padding = mnv3::Padding::same,
      .squeeze{.divisor = 1, .block_activation = true, .gate = mnv3::Gate::sigmoid},
      .activation = RE};
};

}  // namespace

std::unique_ptr<Subject> cut_short() {
  using namespace mnv3;
  return std::make_unique<TypedSubject<GreyArch, taps<after<1>, expansion<3>>>>("cut short");
}

}  // namespace kernels
