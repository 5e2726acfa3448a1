// SPDX-License-Identifier: MIT
#include <mnv3/config/setting.hpp>

#include <type_traits>

#include <mnv3/config/norm.hpp>

namespace {

using mnv3::by_default;
using mnv3::Norm;
using mnv3::Setting;

// A value, which knows whether it was given: also where it equals the default.
constexpr Setting<int> untouched = by_default(1000);
constexpr Setting<int> given = 1000;
static_assert(untouched == 1000 && !untouched.is_given());
static_assert(given == 1000 && given.is_given());
static_assert(given.value() == 1000);
static_assert(!untouched == false, "converts like its value");

// Assigning gives it, and copying keeps what it knows.
constexpr bool is_given_after_assignment() {
  Setting<int> setting = by_default(1);
  setting = 1;
  return setting.is_given();
}
constexpr bool is_given_after_copy() {
  Setting<int> setting = 1;
  setting = untouched;
  return setting.is_given();
}
static_assert(is_given_after_assignment());
static_assert(!is_given_after_copy());

// Nothing that loses something, or that means something else, is taken.
static_assert(std::is_convertible_v<int, Setting<double>>, "0 for 0.0");
static_assert(std::is_convertible_v<float, Setting<double>>);
static_assert(std::is_convertible_v<unsigned, Setting<int>>);
static_assert(!std::is_convertible_v<double, Setting<int>>);
static_assert(!std::is_convertible_v<bool, Setting<int>>);
static_assert(!std::is_convertible_v<bool, Setting<double>>);
static_assert(!std::is_convertible_v<int, Setting<bool>>);
static_assert(!std::is_convertible_v<const char*, Setting<bool>>);
static_assert(std::is_convertible_v<bool, Setting<bool>>);
static_assert(std::is_convertible_v<Norm, Setting<Norm>>);
static_assert(!std::is_convertible_v<int, Setting<Norm>>);
static_assert(!std::is_convertible_v<Norm, Setting<int>>);
static_assert(!std::is_convertible_v<char, Setting<int>>);

// An integer that is no int is no constant, and so does not compile.
template <auto Value>
concept is_int_setting = requires { typename std::bool_constant<Setting<int>(Value) == 0>; };
static_assert(is_int_setting<2'147'483'647LL>);
static_assert(is_int_setting<-2'147'483'648LL>);
static_assert(!is_int_setting<2'147'483'648LL>);
static_assert(!is_int_setting<5'000'000'000LL>);
static_assert(!is_int_setting<4'294'967'295U>);

}  // namespace
