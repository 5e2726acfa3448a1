// SPDX-License-Identifier: MIT
#include <mnv3/weights/bytes/inflate.hpp>

#include <string>

#include "fuzz.hpp"

// The first two bytes are the size that is expected.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](std::string_view bytes) {
    if (bytes.size() < 2) return;
    std::string unpacked(
        static_cast<unsigned char>(bytes[0]) * 256U + static_cast<unsigned char>(bytes[1]), '\0');
    mnv3::weights::inflate(bytes.substr(2), unpacked.data(), unpacked.size());
  });
}
