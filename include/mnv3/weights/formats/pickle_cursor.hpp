// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

// A pickle as a stream of opcodes and their arguments.

namespace mnv3::weights::pickle {

static_assert(std::endian::native == std::endian::little,
              "mnv3: weights files are read and written on little-endian machines only");

/// The bytes that pickles are made of. Source: CPython Lib/pickletools.py.
enum class Op : std::uint8_t {
  mark = '(',
  stop = '.',
  pop = '0',
  pop_mark = '1',
  dup = '2',
  binbytes = 'B',
  short_binbytes = 'C',
  binfloat = 'G',
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  none = 'N',
  binpersid = 'Q',
  reduce = 'R',
  binstring = 'T',
  short_binstring = 'U',
  binunicode = 'X',
  empty_list = ']',
  append = 'a',
  build = 'b',
  global = 'c',
  dict = 'd',
  appends = 'e',
  binget = 'h',
  long_binget = 'j',
  list = 'l',
  binput = 'q',
  long_binput = 'r',
  setitem = 's',
  tuple = 't',
  setitems = 'u',
  empty_dict = '}',
  empty_tuple = ')',
  proto = 0x80,
  newobj = 0x81,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
  long1 = 0x8a,
  long4 = 0x8b,
  short_binunicode = 0x8c,
  binunicode8 = 0x8d,
  binbytes8 = 0x8e,
  empty_set = 0x8f,
  additems = 0x90,
  frozenset = 0x91,
  newobj_ex = 0x92,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
  bytearray8 = 0x96,
};

/// More bytes might make a pickle of it.
class EndsTooEarly : public WeightsError {
 public:
  using WeightsError::WeightsError;
};

/// Walks over a pickle's bytes and never past their end.
///
/// Errors  WeightsError; names the opcode it stands at and that opcode's byte.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

  Op first_op() {
    if (!bytes_.starts_with(static_cast<char>(Op::proto)))
      fail("does not start as protocols 2 to 5 do");
    return next_op();
  }

  Op next_op() {
    op_begin_ = at_;
    return Op{number<std::uint8_t>()};
  }

  template <class Integer>
  Integer number() {
    Integer value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == bytes_.npos) check_length(bytes_.size() - at_ + 1);
    std::string_view text = take(end - at_ + 1);
    text.remove_suffix(1);
    return text;
  }

  std::string_view take(std::uint64_t length) {
    check_length(length);
    if (at_ < frame_end_ && length > frame_end_ - at_) fail("has something across a frame's end");
    const std::string_view taken = bytes_.substr(at_, static_cast<std::size_t>(length));
    at_ += taken.size();
    return taken;
  }

  /// So many bytes are to be read at once. Python's unpickler, the one in C, loses bytes where
  /// something reaches across a frame's end, and so reads another pickle than is there.
  void begin_frame(std::uint64_t length) {
    check_length(length);
    if (at_ < frame_end_) fail("has a frame in a frame");
    frame_end_ = at_ + static_cast<std::size_t>(length);
  }

  void check_length(std::uint64_t length) const {
    if (length > bytes_.size() - at_) throw EndsTooEarly(describe("ends too early"));
  }

  /// How many there are.
  std::size_t size() const { return bytes_.size(); }

  /// How many bytes have been taken.
  std::size_t position() const { return at_; }

  [[noreturn]] void fail(std::string_view what) const { throw WeightsError(describe(what)); }

 private:
  std::string describe(std::string_view what) const {
    std::string op = "no opcode";
    if (op_begin_ < bytes_.size()) {
      const auto code = static_cast<unsigned char>(bytes_[op_begin_]);
      op = text("opcode 0x", hex(code, 2));
      if (code > ' ' && code < 0x7f) op += text(" '", static_cast<char>(code), '\'');
    }
    return text("the pickle ", what, ", at byte ", op_begin_, " (", op, ')');
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::size_t op_begin_ = 0;
  std::size_t frame_end_ = 0;
};

}  // namespace mnv3::weights::pickle
