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

// One's own, written as in Python.
constexpr Input listed{.channels = 3, .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};
static_assert(listed.normalized_inside());
static_assert(listed.mean == rvm.mean && listed.std == rvm.std);
constexpr Input grey{.channels = 1, .mean = {0.5}, .std = {0.25}};
static_assert(grey.normalized_inside());
static_assert(grey.mean.size() == 1 && grey.std[0] == 0.25);

}  // namespace
