// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// Walks over JSON of which one knows what it should be: no values are made but texts and natural
/// numbers.
///
/// Why not a library: nlohmann-json 3.11.2 adds 1.7 s to every file that includes it (2.1 s instead
/// of 0.5 s, g++ 12.2 -O2 on an AMD EPYC, 2026-11), makes a tree of what is read once, and keeps the
/// last of two values of one name where a file is to be refused.
///
/// Errors  WeightsError with the byte.
/// Source  RFC 8259.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}

  /// Takes that character, if it is next.
  bool skip(char wanted) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!skip(wanted)) fail(weights::text("has no '", wanted, '\''));
  }

  /// Calls `visit` before each item of a list or object, up to its closing character; the opening
  /// one has been taken.
  template <class Visit>
  void items(char close, Visit visit) {
    if (skip(close)) return;
    do {
      visit();
    } while (skip(','));
    expect(close);
  }

  std::int64_t natural() {
    skip_space();
    const std::size_t begin = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value))
        fail("has a number that is too large");
    if (at_ == begin || (text_[begin] == '0' && at_ - begin > 1)) fail("has no number");
    return value;
  }

  std::string text() {
    expect('"');
    std::string value;
    while (true) {
      const std::size_t begin = at_;
      char c = next();
      for (; c != '"' && c != '\\'; c = next())
        if (static_cast<unsigned char>(c) < ' ') fail("has a control character in a text");
      value += text_.substr(begin, at_ - 1 - begin);
      if (c == '"') return value;
      escape(value);
    }
  }

  /// Nothing but space may be left.
  void end() {
    skip_space();
    if (at_ != text_.size()) fail("has something after its end");
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw WeightsError(weights::text("the header ", what, ", at byte ", at_, " of it"));
  }

 private:
  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  char next() {
    if (at_ == text_.size()) fail("ends within a text");
    return text_[at_++];
  }

  unsigned hex() {
    unsigned value = 0;
    for (int i = 0; i < 4; ++i) {
      constexpr std::string_view digits = "0123456789abcdef";
      const char c = next();
      const std::size_t digit = digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
      if (digit == digits.npos) fail("has an escape that is none");
      value = value << 4 | static_cast<unsigned>(digit);
    }
    return value;
  }

  void escape(std::string& to) {
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const char c = next();
    if (const std::size_t known = names.find(c); known != names.npos) {
      to += meanings[known];
      return;
    }
    if (c != 'u') fail("has an escape that is none");
    std::uint32_t point = hex();
    if (point >= 0xd800 && point < 0xdc00) {  // the first half of a pair
      if (next() != '\\' || next() != 'u') fail("has half a character");
      const std::uint32_t second = hex();
      if (second < 0xdc00 || second > 0xdfff) fail("has half a character");
      point = 0x10000 + ((point - 0xd800) << 10) + (second - 0xdc00);
    } else if (point >= 0xdc00 && point < 0xe000) {
      fail("has half a character");
    }
    const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
    const auto rest = [&](unsigned shift) { put(0x80 | (point >> shift & 0x3f)); };
    if (point < 0x80) {
      put(point);
    } else if (point < 0x800) {
      put(0xc0 | point >> 6);
      rest(0);
    } else if (point < 0x10000) {
      put(0xe0 | point >> 12);
      rest(6);
      rest(0);
    } else {
      put(0xf0 | point >> 18);
      rest(12);
      rest(6);
      rest(0);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace mnv3::weights
