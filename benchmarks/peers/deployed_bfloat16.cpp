// SPDX-License-Identifier: MIT
// The peer `mnv3 deployed, bfloat16`: the same pictures and results, as float32.

#include "serve.hpp"

int main(int argc, char** argv) {
  return peers::serve(argc, argv,
                      [](auto& net) { return mnv3::deploy<mnv3::Precision::bfloat16>(net); });
}
