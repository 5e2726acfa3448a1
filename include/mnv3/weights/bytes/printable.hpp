// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <mnv3/weights/bytes/limits.hpp>

namespace mnv3::weights {

/// How many bytes the character has that `text` begins with; 0 if that is no UTF-8.
///
/// Source  RFC 3629: the shortest form only, no surrogates, nothing above U+10FFFF.
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool is_wrong = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
  return is_wrong ? 0 : length;
}

inline bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    // Most is ASCII: eight bytes at a time.
    for (std::uint64_t word = 0; text.size() >= sizeof word; text.remove_prefix(sizeof word)) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & 0x8080808080808080) != 0) break;
    }
    if (text.empty()) break;
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// A text from a file, fit for an error: one line that no terminal takes for a command. What is no
/// UTF-8, control characters, and those that turn the direction of writing become '?'; what is too
/// long ends in "...".
inline std::string printable(std::string_view text,
                             std::size_t most_characters = limits::printed_characters) {
  const auto is_invisible = [](std::string_view character) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
    if (character.size() == 1) return byte(0) < ' ' || byte(0) == 0x7f;
    if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;  // U+0080 to U+009F
    // U+200B to U+200F, U+2028 to U+202E, U+2066 to U+2069, U+FEFF.
    return (character.starts_with("\xe2\x80") &&
            (byte(2) >= 0xa8 ? byte(2) <= 0xae : byte(2) >= 0x8b && byte(2) <= 0x8f)) ||
           (character.starts_with("\xe2\x81") && byte(2) >= 0xa6 && byte(2) <= 0xa9) ||
           character == "\xef\xbb\xbf";
  };
  std::string shown;
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == most_characters) return shown + "...";
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    if (length == 0 || is_invisible(character))
      shown += '?';
    else
      shown += character;
    text.remove_prefix(character.size());
  }
  return shown;
}

}  // namespace mnv3::weights
