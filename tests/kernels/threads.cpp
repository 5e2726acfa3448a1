// SPDX-License-Identifier: MIT
// Several threads call one packed network at once, and each call has threads of its own: for
// ThreadSanitizer. Without it, it still finds results that differ from those of a call alone.

#include <array>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "kernels/subject.hpp"

namespace {

using kernels::Floats;
using kernels::Pictures;

struct Call {
  Pictures pictures;
  bool channels_last;
  std::int64_t threads;
  std::vector<Floats> alone{};
  bool same = false;
};

/// Whether the calls give the same at once as alone.
bool check(const kernels::Subject& subject, mnv3::Isa isa, std::mt19937& random) {
  std::vector<Call> calls;
  const auto add = [&](std::int64_t batch, kernels::Extent extent, Pictures::Layout layout,
                       std::int64_t threads) {
    calls.push_back(
        {.pictures = {batch, subject.net().settings.input.channels, extent, layout, random},
         .channels_last = layout == Pictures::channels_last,
         .threads = threads});
  };
  add(1, {33, 29}, Pictures::nchw, 3);
  add(5, {8, 17}, Pictures::channels_last, 2);  // pictures apart, and one that is shared
  add(1, {1, 40}, Pictures::strided, 4);
  add(2, {21, 12}, Pictures::cropped, 3);
  const auto run = [&](const Call& call) {
    return subject.run(isa, call.pictures, call.channels_last, call.threads);
  };
  for (Call& call : calls) call.alone = run(call);
  {
    std::vector<std::jthread> callers;
    for (Call& call : calls)
      callers.emplace_back([&run, &call] { call.same = run(call) == call.alone; });
  }
  bool same = true;
  for (const Call& call : calls) same = same && call.same;
  if (!same)
    std::printf("FAILED %s, %s: results depend on other callers\n", subject.name().c_str(),
                std::string(name_of(isa)).c_str());
  return same;
}

}  // namespace

int main() {
  std::mt19937 random(1);
  bool same = true;
  for (const auto make : {kernels::every_tap, kernels::cut_short, kernels::every_tap_in_bfloat16}) {
    const auto subject = make();
    for (const mnv3::Isa isa : subject->instruction_sets())
      same = check(*subject, isa, random) && same;
  }
  return !same;
}
