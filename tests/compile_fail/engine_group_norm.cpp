// SPDX-License-Identifier: MIT
// Group norm in an engine, and all that is done with one: the compiler speaks of nothing else.
// expect: mnv3: \[kernels_run_norm\].*`Engine`
// expect: architecture_error<Grouped ?>
#include <mnv3/engine.hpp>

struct Grouped : mnv3::SmallArch {
#ifndef MNV3_FIXED
  static constexpr mnv3::Settings settings{.norm = mnv3::Norm::group};
#endif
};
using Net = mnv3::Engine<Grouped>;

float use(const mnv3::Frame& frame, std::array<float, 1000>& logits) {
  const auto net = Net::load("grouped.pth", {.allow_unexpected = true});
  net(frame, logits);
  net(mnv3::openmp_threads(2), frame, logits);
  const mnv3::FeatureMap map = net(frame);
  return map.values()[0] + static_cast<float>(Net::weight_bytes() + Net::arena_bytes(8, 8));
}
