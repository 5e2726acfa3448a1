// SPDX-License-Identifier: MIT
#include <mnv3/config/norm.hpp>

#include <mnv3/config/settings.hpp>

namespace {

// torchvision's is the default.
static_assert(mnv3::Settings{}.norm == mnv3::Norm::batch);

}  // namespace
