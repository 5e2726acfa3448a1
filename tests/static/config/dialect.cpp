// SPDX-License-Identifier: MIT
#include <mnv3/config/dialect.hpp>

namespace {

// A layer may have one prefix, and no second.
static_assert(mnv3::LayerNames{}.second.view().empty());

}  // namespace
