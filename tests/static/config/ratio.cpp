// SPDX-License-Identifier: MIT
#include <mnv3/config/ratio.hpp>

#include <ratio>

namespace {

using mnv3::config::detail::value_of;

static_assert(value_of<std::ratio<3, 4>> == 0.75);
static_assert(value_of<std::ratio<35, 100>> == 0.35);
static_assert(value_of<std::ratio<2>> == 2.0);

}  // namespace
