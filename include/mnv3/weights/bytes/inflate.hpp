// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// Deflate cannot do better: a match of 258 bytes in two bits.
inline constexpr std::uint64_t max_inflation = 1032;

/// Unpacks what `deflate` packed. torch packs nothing, but who unpacks an archive and packs it
/// again with another program has it packed, and Python's `torch.load` reads that.
///
/// Errors  WeightsError if the bytes are no such stream, or do not give exactly `size` bytes.
/// Source  RFC 1951.
class Inflater {
 public:
  Inflater(std::string_view packed, char* to, std::size_t size)
      : in_(packed), out_(to), size_(size) {}

  void run() {
    for (bool is_last = false; !is_last;) {
      is_last = take_bits(1) != 0;
      switch (take_bits(2)) {
        case 0:
          copy_block();
          break;
        case 1:
          fixed_block();
          break;
        case 2:
          described_block();
          break;
        default:
          fail();
      }
    }
    if (at_ != size_) fail();
  }

 private:
  /// A canonical Huffman code: how many symbols there are of each length, and the symbols in order.
  class Code {
   public:
    static constexpr std::size_t max_length = 15;

    explicit Code(std::span<const std::uint8_t> lengths) {
      for (const std::uint8_t length : lengths) ++counts_[length];
      counts_[0] = 0;
      std::array<std::size_t, max_length + 2> next{};
      int left = 1;  // codes of this length that are still free
      for (std::size_t length = 1; length <= max_length; ++length) {
        left = 2 * left - counts_[length];
        if (left < 0) fail();
        next[length + 1] = next[length] + static_cast<std::size_t>(counts_[length]);
      }
      for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol)
        if (lengths[symbol] != 0)
          symbols_[next[lengths[symbol]]++] = static_cast<std::uint16_t>(symbol);
    }

    std::size_t decode(Inflater& in) const {
      int code = 0, first = 0;
      std::size_t index = 0;
      for (std::size_t length = 1; length <= max_length; ++length) {
        code |= static_cast<int>(in.take_bits(1));
        if (code - first < counts_[length])
          return symbols_[index + static_cast<std::size_t>(code - first)];
        index += static_cast<std::size_t>(counts_[length]);
        first = (first + counts_[length]) << 1;
        code <<= 1;
      }
      fail();
    }

   private:
    std::array<int, max_length + 1> counts_{};
    std::array<std::uint16_t, 288> symbols_{};
  };

  [[noreturn]] static void fail() {
    throw WeightsError("what is compressed in it is damaged. Copy or download it again");
  }

  unsigned take_bits(unsigned count) {
    while (bit_count_ < count) {
      if (next_ >= in_.size()) fail();
      bits_ |= static_cast<std::uint32_t>(static_cast<unsigned char>(in_[next_++])) << bit_count_;
      bit_count_ += 8;
    }
    const unsigned taken = bits_ & ((1U << count) - 1);
    bits_ >>= count;
    bit_count_ -= count;
    return taken;
  }

  void copy_block() {
    bits_ = bit_count_ = 0;  // it starts with the next byte
    const std::size_t length = take_bits(16);
    if (take_bits(16) != (~length & 0xffff)) fail();
    if (length > in_.size() - next_ || length > size_ - at_) fail();
    std::memcpy(out_ + at_, in_.data() + next_, length);
    next_ += length;
    at_ += length;
  }

  void fixed_block() {
    std::array<std::uint8_t, 288> lengths;
    for (std::size_t i = 0; i < lengths.size(); ++i)
      lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    std::array<std::uint8_t, 30> distances;
    distances.fill(5);
    block(Code(lengths), Code(distances));
  }

  void described_block() {
    const std::size_t literals = take_bits(5) + 257;
    const std::size_t distances = take_bits(5) + 1;
    const std::size_t described = take_bits(4) + 4;
    if (literals > 286 || distances > 30) fail();
    constexpr std::array<std::uint8_t, 19> order{16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                 11, 4,  12, 3, 13, 2, 14, 1, 15};
    std::array<std::uint8_t, 19> of_lengths{};
    for (std::size_t i = 0; i < described; ++i)
      of_lengths[order[i]] = static_cast<std::uint8_t>(take_bits(3));
    const Code code(of_lengths);
    std::array<std::uint8_t, 286 + 30> lengths{};
    for (std::size_t i = 0; i < literals + distances;) {
      const std::size_t symbol = code.decode(*this);
      if (symbol < 16) {
        lengths[i++] = static_cast<std::uint8_t>(symbol);
        continue;
      }
      if (symbol == 16 && i == 0) fail();
      const std::uint8_t length = symbol == 16 ? lengths[i - 1] : 0;
      std::size_t repeat = symbol == 16   ? 3 + take_bits(2)
                           : symbol == 17 ? 3 + take_bits(3)
                                          : 11 + take_bits(7);
      if (repeat > literals + distances - i) fail();
      while (repeat-- > 0) lengths[i++] = length;
    }
    const std::span<const std::uint8_t> all(lengths);
    block(Code(all.first(literals)), Code(all.subspan(literals, distances)));
  }

  void block(const Code& literal, const Code& distance) {
    constexpr std::array<std::uint16_t, 29> length_base{3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                                        15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                                        67, 83, 99, 115, 131, 163, 195, 227, 258};
    constexpr std::array<std::uint16_t, 30> distance_base{
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    for (std::size_t symbol = literal.decode(*this); symbol != 256;
         symbol = literal.decode(*this)) {
      if (symbol < 256) {
        if (at_ == size_) fail();
        out_[at_++] = static_cast<char>(symbol);
        continue;
      }
      symbol -= 257;
      if (symbol >= length_base.size()) fail();
      const unsigned extra = symbol < 8 || symbol == 28 ? 0 : static_cast<unsigned>(symbol / 4 - 1);
      const std::size_t length = length_base[symbol] + take_bits(extra);
      const std::size_t far = distance.decode(*this);
      if (far >= distance_base.size()) fail();
      const std::size_t back =
          distance_base[far] + take_bits(far < 4 ? 0 : static_cast<unsigned>(far / 2 - 1));
      if (back > at_ || length > size_ - at_) fail();
      for (const std::size_t end = at_ + length; at_ < end; ++at_) out_[at_] = out_[at_ - back];
    }
  }

  std::string_view in_;
  std::size_t next_ = 0;
  std::uint32_t bits_ = 0;
  unsigned bit_count_ = 0;
  char* out_;
  std::size_t size_;
  std::size_t at_ = 0;
};

inline void inflate(std::string_view packed, char* to, std::size_t size) {
  Inflater(packed, to, size).run();
}

}  // namespace mnv3::weights
