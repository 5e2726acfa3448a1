// SPDX-License-Identifier: MIT
#include <mnv3/config/axis.hpp>

namespace {

static_assert(mnv3::Axis::height != mnv3::Axis::width);

}  // namespace
