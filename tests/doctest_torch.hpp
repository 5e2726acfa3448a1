// SPDX-License-Identifier: MIT
#pragma once

// LibTorch and doctest in one program. Both define CHECK: here it is doctest's. The order matters,
// so every test that needs LibTorch includes this header and neither of the two. CMake precompiles
// it.

#include <torch/torch.h>

#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LT
#undef CHECK_LE
#undef CHECK_GT
#undef CHECK_GE

#include <doctest/doctest.h>
