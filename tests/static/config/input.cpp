// SPDX-License-Identifier: MIT
#include <mnv3/config/input.hpp>

namespace {

using mnv3::Input;

// What an architecture gets that says nothing: torchvision's convention.
static_assert(Input{}.channels == 3);
static_assert(!Input{}.normalized_inside());
static_assert(Input::rgb_normalized_by_caller.channels == 3);
static_assert(!Input::rgb_normalized_by_caller.normalized_inside());

// RobustVideoMatting's convention.
constexpr Input rvm = Input::rgb01_normalized_imagenet;
static_assert(rvm.channels == 3);
static_assert(rvm.normalized_inside());
static_assert(rvm.mean.size() == 3 && rvm.std.size() == 3);
static_assert(rvm.mean[0] == 0.485 && rvm.mean[1] == 0.456 && rvm.mean[2] == 0.406);
static_assert(rvm.std[0] == 0.229 && rvm.std[1] == 0.224 && rvm.std[2] == 0.225);

// One's own.
constexpr std::array grey_mean{0.5};
constexpr std::array grey_std{0.25};
constexpr Input grey{.channels = 1, .mean = grey_mean, .std = grey_std};
static_assert(grey.normalized_inside());

}  // namespace
