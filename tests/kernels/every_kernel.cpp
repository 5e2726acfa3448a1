// SPDX-License-Identifier: MIT
#include "kernels/subject.hpp"

namespace kernels {

namespace {

// Every kernel with every stride and dilation, first where pictures are still large.
struct EveryKernelArch {
  using enum mnv3::Activation;
  static constexpr auto blocks = std::to_array<mnv3::InvertedResidualConfig>({
      {5, 3, 5, 5, true, RE, 1},
      {5, 5, 21, 13, false, HS, 1},
      {13, 7, 40, 13, true, HS, 1},
      {13, 1, 24, 17, false, RE, 1},
      {17, 3, 17, 17, false, HS, 1, 2},
      {17, 5, 50, 17, true, RE, 1, 3},
      {17, 7, 19, 9, false, HS, 2, 2},
      {9, 1, 9, 9, true, RE, 1, 4},
      {9, 3, 33, 24, true, HS, 2},
      {24, 5, 240, 40, true, HS, 2},
      {40, 7, 250, 40, false, RE, 2},
      {40, 1, 57, 11, false, HS, 2},
      {11, 3, 200, 11, true, HS, 1},
  });
  static constexpr mnv3::Settings settings{.num_classes = 7, .last_channel = 33};
};

}  // namespace

std::unique_ptr<Subject> every_kernel() {
  return std::make_unique<TypedSubject<EveryKernelArch, mnv3::taps<>>>("every kernel");
}
std::unique_ptr<Subject> every_kernel_in_bfloat16() {
  return std::make_unique<TypedSubject<EveryKernelArch, mnv3::taps<>, mnv3::engine::Bfloat16>>(
      "every kernel, bfloat16");
}

}  // namespace kernels
