// SPDX-License-Identifier: MIT
#include <mnv3/config.hpp>

#if __has_include(<torch/version.h>) && defined(TORCH_VERSION)
#error "the config half must not include LibTorch"
#endif

static_assert(mnv3::parameter_count<mnv3::LargeArch, mnv3::taps<mnv3::after<6>>>() == 61'120);

int main() {}
