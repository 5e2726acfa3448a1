// SPDX-License-Identifier: MIT
#include <mnv3/weights/bytes/inflate.hpp>

#include <span>
#include <string>

#include "fuzz.hpp"

// The first two bytes are the size that is expected.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](std::string_view bytes) {
    if (bytes.size() < 2) return;
    std::string unpacked(
        static_cast<unsigned char>(bytes[0]) * 256U + static_cast<unsigned char>(bytes[1]), '\0');
    const mnv3::weights::InputFile file(std::as_bytes(std::span(bytes)));
    mnv3::weights::inflate(file, 2, bytes.size() - 2, unpacked.data(), unpacked.size());
  });
}
