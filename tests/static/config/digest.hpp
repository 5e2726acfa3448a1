// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <mnv3/config/keys.hpp>

namespace mnv3 {

/// FNV-1a, 64 bits, of the state dict's names and shapes, one "NAME SIZExSIZE\n" for each tensor. In
/// Python:
///
///   text = "".join(f"{k} {'x'.join(map(str, v.shape))}\n" for k, v in model.state_dict().items())
///   digest = 0xcbf29ce484222325
///   for byte in text.encode():
///       digest = (digest ^ byte) * 0x100000001b3 % 2**64
class Digest {
 public:
  constexpr void add(std::string_view text) {
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  constexpr void add(const Key& key) {
    add(key.name.view());
    add(" ");
    for (std::size_t i = 0; i < key.rank; ++i) {
      if (i > 0) add("x");
      add((Name{} + static_cast<int>(key.sizes[i])).view());
    }
    add("\n");
  }
  std::uint64_t value = 0xcbf29ce484222325;
};

/// Of all that `Arch` has in a checkpoint with these names.
template <class Arch>
constexpr std::uint64_t digest_of(Names names) {
  Digest digest;
  for_each_key(
      definition_of<Arch>, [&](const Key& key) { digest.add(key); }, names);
  return digest.value;
}

}  // namespace mnv3
