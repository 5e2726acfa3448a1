// SPDX-License-Identifier: MIT
// The peer `mnv3 deployed`.

#include "serve.hpp"

int main(int argc, char** argv) {
  return peers::serve(argc, argv, [](auto& net) { return mnv3::deploy(net); });
}
