// SPDX-License-Identifier: MIT
#include "picture.hpp"

// Whatever the first bytes say: PPM, foreign files, and the others now and then.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::decode({data, size});
}
