// SPDX-License-Identifier: MIT
// Group norm in bfloat16, which only our kernels have.
// needs: torch
// expect: mnv3: \[kernels_run_norm\]
// expect: architecture_error<Grouped ?>
#include <mnv3/mnv3.hpp>

struct Grouped : mnv3::SmallArch {
#ifndef MNV3_FIXED
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::group};
#endif
};

torch::Tensor use(const mnv3::Deployed<Grouped, mnv3::taps<>, mnv3::Precision::bfloat16>& net) {
  return net(torch::ones({1, 3, 32, 32}));
}
