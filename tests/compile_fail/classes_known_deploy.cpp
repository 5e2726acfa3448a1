// SPDX-License-Identifier: MIT
// A network from a file whose number of classes nobody knows.
// needs: torch
// expect: mnv3: \[classes_known\]
// expect: architecture_error<mnv3::WithClasses<mnv3::SmallArch> ?>
#include <mnv3/deploy.hpp>

#ifdef MNV3_FIXED
using Net = mnv3::WithClasses<mnv3::SmallArch, 10>;
#else
using Net = mnv3::WithClasses<mnv3::SmallArch>;
#endif

torch::Tensor use(const torch::Tensor& x) { return mnv3::deploy<Net>("small.pth")(x); }
