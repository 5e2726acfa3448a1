// SPDX-License-Identifier: MIT
#include <mnv3/config/channel_values.hpp>

#include <array>
#include <span>
#include <type_traits>
#include <vector>

namespace {

using mnv3::ChannelValues;

// None, a list, an array, a span: it holds the values, so what they come from may be gone.
static_assert(ChannelValues{}.empty() && ChannelValues{}.size() == 0);
constexpr ChannelValues listed = {0.485, 0.456, 0.406};
static_assert(listed.size() == 3 && !listed.empty());
static_assert(listed[0] == 0.485 && listed[1] == 0.456 && listed[2] == 0.406);
static_assert(ChannelValues(std::array{0.485, 0.456, 0.406}) == listed);
constexpr ChannelValues from_run_time_values() {
  const std::vector<double> values{0.485, 0.456, 0.406};
  return std::span(values);
}
static_assert(from_run_time_values() == listed);
static_assert(ChannelValues{0.485} != listed);
static_assert(ChannelValues{0.485, 0.456, 0.4} != listed);

constexpr double sum_of(const ChannelValues& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}
static_assert(sum_of({0.25, 0.5, 2}) == 2.75);
static_assert(sum_of({}) == 0);

// 64 of them, and no more.
constexpr std::array<double, 64> most{};
constexpr std::array<double, 65> one_more{};
template <auto Values>
concept fits = requires {
  std::bool_constant<(ChannelValues(Values), true)>{};
};
static_assert(ChannelValues::most == 64);
static_assert(ChannelValues(most).size() == 64);
static_assert(fits<most>);
static_assert(!fits<one_more>);

}  // namespace
