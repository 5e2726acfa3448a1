// SPDX-License-Identifier: MIT
#include <mnv3/config/flow.hpp>

#include <string_view>

#include <mnv3/config/architectures.hpp>
#include <mnv3/config/name.hpp>

namespace {

using mnv3::InvertedResidualConfig;
using mnv3::Name;

/// What was done, in words.
struct Words {
  constexpr Name depthwise(const Name& x) { return Name{} + "dw(" + x.view() + ")"; }
  constexpr Name squeeze(const Name& x) { return Name{} + "se(" + x.view() + ")"; }
  constexpr Name project(const Name& x, const Name* residual) {
    const Name projected = Name{} + "pw(" + x.view() + ")";
    return residual != nullptr ? projected + " + " + residual->view() : projected;
  }
};
constexpr bool is(const InvertedResidualConfig& row, std::string_view expected) {
  const Name expanded = Name{} + "e";
  const Name input = Name{} + "x";
  return mnv3::flow_after_expansion(row, Words{}, expanded, input).view() == expected;
}

// Source  torchvision 0.14.1 models/mobilenetv3.py L66-114.
static_assert(is(mnv3::LargeArch::blocks[1], "pw(dw(e))"));
static_assert(is(mnv3::LargeArch::blocks[2], "pw(dw(e)) + x"));
static_assert(is(mnv3::LargeArch::blocks[3], "pw(se(dw(e)))"));
static_assert(is(mnv3::LargeArch::blocks[4], "pw(se(dw(e))) + x"));

}  // namespace
