// SPDX-License-Identifier: MIT
// A program that trains in several processes, started alone.
#include <mnv3/mnv3.hpp>
#include <mnv3/train/distributed.hpp>

int main() {
  const auto group = mnv3::train::join_group();
  mnv3::MobileNetV3<mnv3::SmallArch> net;
  group->attach(*net);
  return group->size() == 1 && group->rank() == 0 ? 0 : 1;
}
