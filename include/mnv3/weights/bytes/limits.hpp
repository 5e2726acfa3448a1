// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

// What a weights file may ask for at most. Every allocation that a file can cause, but for the
// values of a tensor that is asked for, is bounded by one of these. SECURITY.md has them as a
// table, and a test compares the two.

namespace mnv3::weights::limits {

/// Of one pickle; of one that is compressed, which may come from a file that is far smaller. A million
/// integers need 5 MB.
inline constexpr std::uint64_t pickle_bytes = std::uint64_t{1} << 26;
inline constexpr std::uint64_t unpacked_pickle_bytes = std::uint64_t{1} << 25;

/// Values that one pickle makes, moves or copies: an opcode of one byte makes one, so that an
/// honest pickle has fewer than it has bytes. Each needs some 30 bytes of memory.
inline constexpr std::uint64_t values_per_pickle_byte = 2;
inline constexpr std::uint64_t values_of_any_pickle = 1 << 12;
inline constexpr std::uint64_t values = std::uint64_t{1} << 22;

/// Storages that a pickle mentions, each as often as it does, and bytes of the name of one.
inline constexpr std::size_t storage_uses = 1 << 18;
inline constexpr std::size_t key_bytes = 1 << 8;

/// Containers around a tensor.
inline constexpr std::size_t depth = 64;

/// Some hundred are usual.
inline constexpr std::size_t tensors = 1 << 16;

/// Dimensions of a tensor, as in LibTorch's TensorIterator.
inline constexpr std::size_t rank = 64;

/// Of one tensor's name; of all of them.
inline constexpr std::size_t name_bytes = 1 << 12;
inline constexpr std::size_t names_bytes = std::size_t{1} << 24;

/// Of a name in an error's text, in characters.
inline constexpr std::size_t printed_characters = 100;

/// A tensor that is spread over more of its storage than this many times its size, and this many
/// bytes more, cannot be read: it would need that much memory.
inline constexpr std::uint64_t spread = 16;
inline constexpr std::uint64_t spread_bytes = std::uint64_t{1} << 20;

/// Records of a zip archive, and bytes of its directory.
inline constexpr std::uint64_t records = 1 << 16;
inline constexpr std::uint64_t directory_bytes = std::uint64_t{1} << 24;

/// How much larger a record is unpacked: deflate's best is a match of 258 bytes in two bits.
inline constexpr std::uint64_t inflation = 1032;

/// Of a safetensors file's header: the format's own limit.
inline constexpr std::uint64_t header_bytes = 100'000'000;

/// Entries of a safetensors file's `__metadata__`.
inline constexpr std::size_t metadata = 1 << 16;

/// How many times as much memory as their storages have the tensors that are read at once may need,
/// where they share values.
inline constexpr std::uint64_t overlap = 4;

/// Bytes that a tensor whose own elements share values may have besides, made dense.
inline constexpr std::uint64_t repeated_bytes = std::uint64_t{1} << 24;

/// A file with the name of published weights is held in memory, so that what is hashed is what is
/// loaded: the largest of them has 22 MB.
inline constexpr std::uint64_t held_bytes = std::uint64_t{1} << 28;

/// Any other file is hashed, where its name has digits as of a hash.
inline constexpr std::uint64_t hashed_bytes = std::uint64_t{1} << 30;

/// What is read, hashed or unpacked at a time.
inline constexpr std::size_t piece_bytes = std::size_t{1} << 18;

}  // namespace mnv3::weights::limits
