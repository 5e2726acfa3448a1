// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include <mnv3/weights/bytes/crc32.hpp>
#include <mnv3/weights/bytes/file_descriptor.hpp>

namespace archive {

/// A file that exists in memory only.
inline mnv3::weights::FileDescriptor in_memory(std::string_view bytes) {
  mnv3::weights::FileDescriptor file(::memfd_create("mnv3-test", MFD_CLOEXEC));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t count = ::write(file.get(), bytes.data() + at, bytes.size() - at);
    if (count <= 0) return {};
    at += static_cast<std::size_t>(count);
  }
  return file;
}

/// A record of a zip archive about which every lie can be told.
struct Record {
  std::string name;
  std::string data;
  unsigned method = 0;
  unsigned flags = 0;
  unsigned disk = 0;
  std::uint32_t attributes = 0;
  std::optional<std::uint64_t> said_bytes{};
  std::optional<std::uint64_t> said_stored{};
  std::optional<std::uint64_t> said_header{};
  std::optional<std::uint32_t> said_crc{};
  std::optional<std::string> local_name{};
  std::string local_signature{"PK\3\4"};
  unsigned extra64_size = 24;
};

/// A zip archive, as bytes.
struct Archive {
  std::vector<Record> records;
  bool is_64_bit = false;
  std::string comment{};
  std::optional<std::uint64_t> said_count{};

  std::string bytes() const {
    std::string out, directory;
    for (const Record& r : records) {
      const std::uint64_t header = r.said_header.value_or(out.size());
      const std::string& local_name = r.local_name ? *r.local_name : r.name;
      const std::uint32_t crc =
          r.said_crc.value_or(mnv3::weights::crc32(0, r.data.data(), r.data.size()));
      const std::uint64_t size = r.said_bytes.value_or(r.data.size());
      const std::uint64_t stored = r.said_stored.value_or(r.data.size());
      out += r.local_signature;
      put(out, 20, 2), put(out, r.flags, 2), put(out, r.method, 2), put(out, 0, 4);
      put(out, crc, 4), put(out, stored, 4), put(out, size, 4);
      put(out, local_name.size(), 2), put(out, 0, 2);
      out += local_name + r.data;

      const bool wide = is_64_bit;
      constexpr std::uint64_t too_large = 0xffffffff;
      directory += "PK\1\2";
      put(directory, 3 << 8 | 20, 2), put(directory, 20, 2), put(directory, r.flags, 2);
      put(directory, r.method, 2), put(directory, 0, 4), put(directory, crc, 4);
      put(directory, wide ? too_large : stored, 4), put(directory, wide ? too_large : size, 4);
      put(directory, r.name.size(), 2), put(directory, wide ? 4 + r.extra64_size : 0, 2);
      put(directory, 0, 2), put(directory, r.disk, 2), put(directory, 0, 2);
      put(directory, r.attributes, 4), put(directory, wide ? too_large : header, 4);
      directory += r.name;
      if (!wide) continue;
      put(directory, 1, 2), put(directory, r.extra64_size, 2);
      std::string numbers;
      put(numbers, size, 8), put(numbers, stored, 8), put(numbers, header, 8);
      directory += numbers.substr(0, r.extra64_size);
    }
    const std::uint64_t begin = out.size(), count = said_count.value_or(records.size());
    out += directory;
    if (is_64_bit) {
      const std::uint64_t end = out.size();
      out += "PK\6\6";
      put(out, 44, 8), put(out, 45, 2), put(out, 45, 2), put(out, 0, 8);
      put(out, count, 8), put(out, count, 8), put(out, directory.size(), 8), put(out, begin, 8);
      out += "PK\6\7";
      put(out, 0, 4), put(out, end, 8), put(out, 1, 4);
    }
    out += "PK\5\6";
    put(out, 0, 4), put(out, is_64_bit ? 0xffff : count, 2),
        put(out, is_64_bit ? 0xffff : count, 2);
    put(out, is_64_bit ? 0xffffffff : directory.size(), 4);
    put(out, is_64_bit ? 0xffffffff : begin, 4);
    put(out, comment.size(), 2);
    return out + comment;
  }

 private:
  static void put(std::string& to, std::uint64_t number, int bytes) {
    for (; bytes > 0; --bytes, number >>= 8) to += static_cast<char>(number & 0xff);
  }
};

}  // namespace archive
