// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

int main(int argc, char** argv) {
  // Two: enough for results that depend on how work is split, and kind to the machine.
  at::set_num_threads(2);
  return doctest::Context(argc, argv).run();
}
