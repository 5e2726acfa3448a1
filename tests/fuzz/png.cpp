// SPDX-License-Identifier: MIT
#include "picture.hpp"

#include <mnv3/weights/bytes/crc32.hpp>

#include <string_view>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

constexpr std::string_view signature = "\x89PNG\r\n\x1a\n";

std::uint32_t number(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 |
         std::uint32_t{at[3]};
}

/// Whether few bytes may hold so many pixels that decoding them takes longer than the fuzzer waits.
bool is_large(const std::uint8_t* data, std::size_t size) {
  return size >= 16 && std::uint64_t{number(data + 8)} * number(data + 12) > 1U << 22;
}

}  // namespace

// A PNG behind its signature.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (is_large(data, size)) return 0;
  std::vector<unsigned char> png(signature.begin(), signature.end());
  png.insert(png.end(), data, data + size);
  return fuzz::decode(png);
}

/// Most mutations get the check sums that belong to them: libpng would look no further.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (seed % 8 == 0) return size;
  for (std::size_t at = 0; size - at >= 12;) {
    const std::size_t length = number(data + at);
    if (length > size - at - 12) break;
    const std::uint32_t crc = mnv3::weights::crc32(0, data + at + 4, 4 + length);
    for (std::size_t i = 0; i < 4; ++i)
      data[at + 8 + length + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    at += 12 + length;
  }
  return size;
}
