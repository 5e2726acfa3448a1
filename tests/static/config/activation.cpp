// SPDX-License-Identifier: MIT
#include <mnv3/config/activation.hpp>

namespace {

// A struct with this line writes its rows with the paper's abbreviations, as torchvision does.
struct Rows {
  using enum mnv3::Activation;
  static constexpr mnv3::Activation relu = RE;
  static constexpr mnv3::Activation hard_swish = HS;
};

static_assert(Rows::relu != Rows::hard_swish);

}  // namespace
