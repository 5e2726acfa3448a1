// SPDX-License-Identifier: MIT
#include "picture.hpp"

#include <vector>

// A JPEG behind its first three bytes, so that all mutations reach libjpeg.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<unsigned char> jpeg{0xff, 0xd8, 0xff};
  jpeg.insert(jpeg.end(), data, data + size);
  return fuzz::decode(jpeg);
}
