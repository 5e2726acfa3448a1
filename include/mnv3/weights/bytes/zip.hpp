// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/little_endian.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/bytes/zip_record.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// The directory of a zip archive. It is read by our own code, because LibTorch's reader takes
/// sizes from the file unchecked, allocates that much, and does not look at check sums.
///
/// Everything is looked at that could make two readers see two different archives in one file:
/// records that overlap or have one name (but for case), a directory that is not where the file ends, links, paths
/// to somewhere else. A record's own header is read with the record, so that what is not needed is
/// not touched.
///
/// Errors  WeightsError, without the file's name.
/// Source  PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5; torch 1.13.1 for what of it is used.
class ZipDirectory {
 public:
  explicit ZipDirectory(const InputFile& file) {
    const Extent extent = find_directory(file);
    read_records(file.read(extent.begin, extent.size, limits::directory_bytes), extent.count);
    check_extents(extent.begin);
    lower_names_.clear();
  }

  /// The record of that name, or null.
  const ZipRecord* find(std::string_view name) const {
    const auto found = records_.find(name);
    return found == records_.end() ? nullptr : &found->second;
  }

  const std::map<std::string, ZipRecord, std::less<>>& records() const { return records_; }

 private:
  struct Extent {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
    std::uint64_t count = 0;
  };

  static constexpr std::uint64_t end_size = 22;
  static constexpr std::uint64_t locator_size = 20;  // of the 64-bit end, which stands before it
  static constexpr std::uint64_t end64_size = 56;
  static constexpr std::uint64_t central_size = 46;

  [[noreturn]] static void fail_damaged(std::string_view what) {
    throw WeightsError(text("it is a zip archive that is damaged or ends too early (", what,
                            "). Copy or download it again"));
  }

  static Extent find_directory(const InputFile& file) {
    // The last thing in the file, but for a comment, which torch does not write. The first read is
    // enough where there is none.
    for (const std::uint64_t comment : {0U, 0xffffU}) {
      const std::uint64_t tail_size = std::min(file.size(), end_size + comment);
      const std::string tail = file.read(file.size() - tail_size, tail_size, tail_size);
      if (tail.size() < end_size) break;
      const std::size_t at = tail.rfind("PK\5\6", tail.size() - end_size);
      if (at == tail.npos) continue;
      // torch takes the last one for it, whatever it says about the comment; Python's zipfile does
      // so, too, but for a directory without comment. Only what all agree on is good.
      LittleEndian numbers(std::string_view(tail).substr(at));
      numbers.take(20);
      if (numbers.number<std::uint16_t>() != numbers.size())
        fail_damaged("what looks like its directory's end is none");
      return read_end(file, file.size() - tail.size() + at, std::string_view(tail).substr(at));
    }
    fail_damaged("it has no directory");
  }

  static Extent read_end(const InputFile& file, std::uint64_t position, std::string_view bytes) {
    LittleEndian numbers(bytes);
    numbers.take(4);
    const std::uint32_t disks = numbers.number<std::uint32_t>();  // this one's, the directory's
    const auto count_here = numbers.number<std::uint16_t>();
    const auto count = numbers.number<std::uint16_t>();
    const auto size = numbers.number<std::uint32_t>();
    const auto begin = numbers.number<std::uint32_t>();
    Extent extent{begin, size, count};
    if (position >= locator_size) {
      const std::string locator = file.read(position - locator_size, locator_size, locator_size);
      if (locator.starts_with("PK\6\7")) {
        const Extent extent64 = read_end64(file, position, locator);
        // The old numbers are the same, or say that they are too small.
        if ((count != 0xffff && count != extent64.count) ||
            (size != 0xffffffff && size != extent64.size) ||
            (begin != 0xffffffff && begin != extent64.begin))
          fail_damaged("its two directories differ");
        extent = extent64;
        position -= locator_size + end64_size;
      } else if (count == 0xffff || size == 0xffffffff || begin == 0xffffffff) {
        fail_damaged("it has no 64-bit directory");
      }
    }
    if (disks != 0 || count_here != count) throw WeightsError("it is a part of a zip archive");
    if (extent.begin > position || extent.size != position - extent.begin)
      fail_damaged("its directory does not end where the file does");
    if (extent.count > limits::records || extent.count > extent.size / central_size)
      fail_damaged("its directory cannot have that many records");
    return extent;
  }

  static Extent read_end64(const InputFile& file, std::uint64_t end, std::string_view locator) {
    LittleEndian place(locator);
    place.take(8);
    const auto position = place.number<std::uint64_t>();
    const auto disks = place.number<std::uint32_t>();
    if (end < locator_size + end64_size || position != end - locator_size - end64_size || disks > 1)
      fail_damaged("its 64-bit directory is not where it should be");
    const std::string bytes = file.read(position, end64_size, end64_size);
    LittleEndian numbers(bytes);
    if (numbers.take(4) != "PK\6\6" || numbers.number<std::uint64_t>() != end64_size - 12)
      fail_damaged("its 64-bit directory is not where it should be");
    numbers.take(4);  // versions
    const std::uint64_t these_disks = numbers.number<std::uint64_t>();
    const auto count_here = numbers.number<std::uint64_t>();
    const auto count = numbers.number<std::uint64_t>();
    if (these_disks != 0 || count_here != count)
      throw WeightsError("it is a part of a zip archive");
    const auto size = numbers.number<std::uint64_t>();
    return {.begin = numbers.number<std::uint64_t>(), .size = size, .count = count};
  }

  void read_records(const std::string& bytes, std::uint64_t count) {
    LittleEndian numbers(bytes);
    for (; count > 0; --count) read_record(numbers);
    if (numbers.size() != 0) fail_damaged("its directory has more than its records");
  }

  void read_record(LittleEndian& numbers) {
    if (numbers.take(4) != "PK\1\2") fail_damaged("its directory has something else in it");
    const auto writer = numbers.number<std::uint16_t>();
    numbers.take(2);  // the version that is needed
    const auto flags = numbers.number<std::uint16_t>();
    const auto method = numbers.number<std::uint16_t>();
    numbers.take(4);  // time
    ZipRecord record;
    record.crc = numbers.number<std::uint32_t>();
    record.stored = numbers.number<std::uint32_t>();
    record.bytes = numbers.number<std::uint32_t>();
    const auto name_size = numbers.number<std::uint16_t>();
    const auto extra_size = numbers.number<std::uint16_t>();
    const auto comment_size = numbers.number<std::uint16_t>();
    const auto disk = numbers.number<std::uint16_t>();
    numbers.take(2);  // whether it is text
    const auto attributes = numbers.number<std::uint32_t>();
    record.header = numbers.number<std::uint32_t>();
    record.name = numbers.take(name_size);
    const std::string_view extra = numbers.take(extra_size);
    numbers.take(comment_size);

    const auto refuse = [&](std::string_view what) {
      throw WeightsError(text("record '", printable(record.name), "' ", what));
    };
    check_name(record.name, refuse);
    read_extra(extra, record, refuse);
    constexpr unsigned encrypted = 1 | 1 << 6 | 1 << 13;
    if ((flags & encrypted) != 0) refuse("is encrypted. Unpack the archive and pack it without");
    if (method != 0 && method != 8)
      refuse(text("is compressed by a method that is not supported (", method, ')'));
    record.is_deflated = method == 8;
    if (!record.is_deflated && record.stored != record.bytes)
      refuse("is not compressed and has two sizes");
    if (record.is_deflated && record.bytes / limits::inflation > record.stored)
      refuse("is compressed to less than is possible");
    constexpr unsigned unix_writer = 3, file_kind = 0170000, symlink = 0120000;
    if (writer >> 8 == unix_writer && (attributes >> 16 & file_kind) == symlink)
      refuse("is a symbolic link");
    // torch's reader takes a folder to be empty, and leaves in memory what was there.
    constexpr unsigned dos_folder = 0x10;
    if (record.bytes != 0 && ((attributes & dos_folder) != 0 || record.name.ends_with('/')))
      refuse("is a folder, but has content");
    if (disk != 0) refuse("is in another part of the archive");
    std::string name = record.name;
    // torch's reader takes "A" for "a".
    if (!lower_names_.insert(lower(name)).second)
      throw WeightsError(text("there are two records '", printable(name), '\''));
    records_.emplace(std::move(name), std::move(record));
  }

  static std::string lower(std::string_view name) {
    std::string text(name);
    for (char& c : text)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
  }

  /// Nothing is ever unpacked to a path. Still, no honest archive has such names.
  template <class Refuse>
  static void check_name(std::string_view name, Refuse refuse) {
    if (name.empty()) refuse("has no name");
    for (const char c : name)
      if (static_cast<unsigned char>(c) < ' ' || c == '\\' || c == '\x7f')
        refuse("has an impossible name");
    if (name.front() == '/' || (name.size() > 1 && name[1] == ':')) refuse("has an absolute path");
    for (std::string_view rest = name; !rest.empty();) {
      const std::size_t slash = std::min(rest.find('/'), rest.size());
      if (rest.substr(0, slash) == "..") refuse("has a path that leads out of the archive");
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
  }

  /// The 64-bit numbers, for those that do not fit 32.
  template <class Refuse>
  static void read_extra(std::string_view extra, ZipRecord& record, Refuse refuse) {
    constexpr std::uint32_t too_large = 0xffffffff;
    bool found = false;
    for (LittleEndian fields(extra); fields.size() >= 4;) {
      const auto id = fields.number<std::uint16_t>();
      LittleEndian field(fields.take(fields.number<std::uint16_t>()));
      if (id != 1) continue;
      if (std::exchange(found, true)) refuse("has two 64-bit sizes");
      for (std::uint64_t* const number : {&record.bytes, &record.stored, &record.header})
        if (*number == too_large) *number = field.number<std::uint64_t>();
    }
  }

  /// No two records may share a byte, nor one with the directory.
  void check_extents(std::uint64_t directory) {
    std::vector<ZipRecord*> by_position;
    for (auto& [name, record] : records_) by_position.push_back(&record);
    std::sort(by_position.begin(), by_position.end(),
              [](const ZipRecord* a, const ZipRecord* b) { return a->header < b->header; });
    std::uint64_t end = directory;
    for (auto it = by_position.rbegin(); it != by_position.rend(); ++it) {
      ZipRecord& record = **it;
      record.end = end;
      const std::uint64_t header = ZipRecord::header_bytes + record.name.size();
      if (record.header > end || end - record.header < header ||
          record.stored > end - record.header - header)
        throw WeightsError(
            text("record '", printable(record.name),
                 "' overlaps what follows it: the archive is damaged or was made to deceive"));
      end = record.header;
    }
  }

  std::map<std::string, ZipRecord, std::less<>> records_;
  std::set<std::string> lower_names_;
};

}  // namespace mnv3::weights
