// SPDX-License-Identifier: MIT
#include <mnv3/weights/bytes/zip.hpp>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "archive.hpp"

using archive::Archive;
using archive::Record;
using mnv3::weights::InputFile;
using mnv3::weights::ZipDirectory;

namespace {

using namespace std::string_literals;

/// What reading the whole archive says; empty if it is good.
std::string error_of(const std::string& bytes) {
  try {
    const InputFile file(archive::in_memory(bytes));
    const ZipDirectory zip(file);
    for (const auto& [name, record] : zip.records())
      mnv3::weights::read_record(file, record, std::uint64_t{1} << 25);
  } catch (const mnv3::WeightsError& error) {
    return error.what();
  }
  return {};
}

/// The error of an archive of two records of which `change` has changed the second.
std::string error_of_changed(const std::function<void(Record&)>& change) {
  Archive zip{{{"a/first", "hello"}, {"a/second", "world!"}}};
  change(zip.records[1]);
  return error_of(zip.bytes());
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("check sums are those of zip archives, whichever way they are calculated") {
  using namespace mnv3::weights;
  CHECK(mnv3::weights::crc32(0, "123456789", 9) ==
        0xcbf43926);  // the check value that catalogues of CRCs give
  CHECK(mnv3::weights::crc32(0, "", 0) == 0);
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += static_cast<char>(i * i >> 3);
  const auto* const data = reinterpret_cast<const unsigned char*>(bytes.data());
  for (std::size_t size = 0; size < 300; ++size)
    for (const std::size_t begin : {0, 1, 7}) {
      const std::uint32_t before = mnv3::weights::crc32(0, data, begin);
      const std::uint32_t whole = mnv3::weights::crc32(before, data + begin, size);
      CHECK(whole == ~crc32_by_tables(~before, data + begin, size));
      std::uint32_t bit_by_bit = ~before;
      for (std::size_t i = begin; i < begin + size; ++i) {
        bit_by_bit ^= data[i];
        for (int bit = 0; bit < 8; ++bit) bit_by_bit = crc32_times_x(bit_by_bit);
      }
      CHECK(whole == ~bit_by_bit);
    }
#if defined(__x86_64__)
  static_assert(crc32_power(4 * 128 + 32) == 0x154442bd4);  // the constants that Intel prints
  static_assert(crc32_power(4 * 128 - 32) == 0x1c6e41596);
  static_assert(crc32_power(128 + 32) == 0x1751997d0);
  static_assert(crc32_power(128 - 32) == 0x0ccaa009e);
#endif
}

TEST_CASE("records of an archive are found by name and read as they were") {
  for (const bool is_64_bit : {false, true}) {
    Archive zip{{{"a/first", "hello"}, {"a/empty", ""}}};
    zip.is_64_bit = is_64_bit;
    const InputFile file(archive::in_memory(zip.bytes()));
    const ZipDirectory directory(file);
    CHECK(directory.records().size() == 2);
    REQUIRE(directory.find("a/first") != nullptr);
    CHECK(mnv3::weights::read_record(file, *directory.find("a/first"), 100) == "hello");
    CHECK(mnv3::weights::read_record(file, *directory.find("a/empty"), 0).empty());
    CHECK(directory.find("first") == nullptr);
  }
}

TEST_CASE("a comment after an archive does not hide it") {
  Archive zip{{{"a/first", "hello"}}};
  zip.comment = std::string(5000, 'c');
  CHECK(error_of(zip.bytes()).empty());
  // torch takes the last of them for the end, Python's zipfile perhaps another.
  zip.comment = "PK\5\6 is how a directory ends, but not here: "s + std::string(30, '\0');
  CHECK(contains(error_of(zip.bytes()), "what looks like its directory's end is none"));
  zip.comment =
      Archive{{{"a/first", "other"}}}.bytes();  // so that its end has a comment of its own
  CHECK_FALSE(error_of(zip.bytes()).empty());
  zip.comment = "PK\5\6";  // too short for one
  CHECK(error_of(zip.bytes()).empty());
}

TEST_CASE("records of kinds that nobody needs are refused by name") {
  CHECK(error_of_changed([](Record&) {}).empty());
  const auto refuses = [](std::string_view what, const std::function<void(Record&)>& change) {
    const std::string error = error_of_changed(change);
    CHECK_MESSAGE(contains(error, what), error);
    CHECK_MESSAGE(contains(error, "record '"), error);
  };
  refuses("is encrypted", [](Record& r) { r.flags = 1; });
  refuses("is encrypted", [](Record& r) { r.flags = 1 << 13; });
  refuses("method that is not supported (93)", [](Record& r) { r.method = 93; });
  refuses("is a symbolic link", [](Record& r) { r.attributes = 0120777U << 16; });
  refuses("is a folder, but has content", [](Record& r) { r.attributes = 0x10; });
  refuses("is a folder, but has content", [](Record& r) { r.name = "a/b/"; });
  refuses("has an absolute path", [](Record& r) { r.name = "/etc/passwd"; });
  refuses("has an absolute path", [](Record& r) { r.name = "C:a"; });
  refuses("leads out of the archive", [](Record& r) { r.name = "a/../../b"; });
  refuses("leads out of the archive", [](Record& r) { r.name = ".."; });
  refuses("has an impossible name", [](Record& r) { r.name = "a\\b"; });
  refuses("has an impossible name", [](Record& r) { r.name = "a\nb"; });
  refuses("has an impossible name", [](Record& r) { r.name = "a\0b"s; });
  refuses("has no name", [](Record& r) { r.name = ""; });
  refuses("is in another part", [](Record& r) { r.disk = 1; });
  CHECK(contains(error_of_changed([](Record& r) { r.name = "a/first"; }),
                 "there are two records 'a/first'"));
  // torch finds either under either name.
  CHECK(contains(error_of_changed([](Record& r) { r.name = "A/fIrst"; }),
                 "there are two records 'A/fIrst'"));
  CHECK(error_of_changed([](Record& r) { r.name = "\xc3\x84"; }).empty());
  CHECK(error_of_changed([](Record& r) {
          r = {.name = "a/b/", .data = "", .attributes = 0x10};
        }).empty());
}

TEST_CASE("sizes that do not fit each other or the file are refused") {
  const auto refuses = [](std::string_view what, const std::function<void(Record&)>& change) {
    const std::string error = error_of_changed(change);
    CHECK_MESSAGE(contains(error, what), error);
  };
  refuses("has two sizes", [](Record& r) { r.said_bytes = 7; });
  refuses("compressed to less than is possible", [](Record& r) {
    r.method = 8;
    r.said_bytes = 1032 * 7;
  });
  refuses("overlaps what follows it", [](Record& r) { r.said_stored = r.said_bytes = 600; });
  refuses("overlaps what follows it", [](Record& r) { r.said_header = 0; });
  refuses("overlaps what follows it", [](Record& r) { r.said_header = 1 << 30; });
  refuses("is not where the directory says", [](Record& r) { r.local_name = "a/sec0nd"; });
  refuses("is not where the directory says", [](Record& r) { r.local_signature = "PK\7\7"; });
  refuses("its check sum is", [](Record& r) { r.said_crc = 1; });
  CHECK(error_of_changed([](Record& r) { r.said_crc = 0; }).empty());  // torch can leave it out
}

TEST_CASE("numbers of 64 bits are taken where they are said to be, and nowhere else") {
  Archive zip{{{"a/first", "hello"}}};
  zip.is_64_bit = true;
  CHECK(error_of(zip.bytes()).empty());
  zip.records[0].extra64_size = 16;  // three numbers are needed
  CHECK(contains(error_of(zip.bytes()), "directory is damaged"));
  zip.records[0].extra64_size = 0;
  CHECK_FALSE(error_of(zip.bytes()).empty());
  {
    Archive good{{{"a/first", "hello"}}};
    good.is_64_bit = true;
    std::string bytes = good.bytes();
    bytes.replace(bytes.rfind("PK\5\6") + 8, 4, 4, '\0');  // the old end: no records
    CHECK(contains(error_of(bytes), "its two directories differ"));
  }
  for (const int change : {4, 8, 24, 32, 40, 48}) {  // in the 64-bit end
    Archive good{{{"a/first", "hello"}}};
    good.is_64_bit = true;
    std::string bytes = good.bytes();
    const std::size_t end = bytes.rfind("PK\6\6");
    bytes[end + static_cast<std::size_t>(change)] ^= 1;
    CHECK_MESSAGE(!error_of(bytes).empty(), change);
  }
}

TEST_CASE("an archive cannot claim more records than it has room for") {
  Archive zip{{{"a/first", "hello"}}};
  zip.said_count = 60000;
  CHECK(contains(error_of(zip.bytes()), "cannot have that many records"));
  zip.said_count = 0;
  CHECK(contains(error_of(zip.bytes()), "more than its records"));
}

TEST_CASE("an archive in front of an archive, or after something else, is refused") {
  const std::string good = Archive{{{"a/first", "hello"}}}.bytes();
  CHECK(contains(error_of("MZ" + good), "does not end where the file does"));
  CHECK(contains(error_of(good + good), "does not end where the file does"));
}

TEST_CASE("an archive that ends too early is refused wherever it ends") {
  Archive zip{{{"a/first", "hello"}, {"a/second", std::string(300, 'x')}}};
  for (const bool is_64_bit : {false, true}) {
    zip.is_64_bit = is_64_bit;
    const std::string good = zip.bytes();
    for (std::size_t length = 0; length < good.size(); ++length)
      CHECK_FALSE(error_of(good.substr(0, length)).empty());
  }
}

TEST_CASE("no byte of an archive can be changed so that its reader gives other values") {
  Archive zip{{{"a/first", "hello"}, {"a/second", std::string(70, 'x')}}};
  for (const bool is_64_bit : {false, true}) {
    zip.is_64_bit = is_64_bit;
    const std::string good = zip.bytes();
    for (std::size_t at = 0; at < good.size(); ++at)
      for (int bit = 0; bit < 8; ++bit) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1 << bit);
        if (!error_of(bad).empty()) continue;
        const InputFile file(archive::in_memory(bad));
        const ZipDirectory directory(file);
        for (const Record& record : zip.records)
          if (const auto* const found = directory.find(record.name))
            CHECK(mnv3::weights::read_record(file, *found, 100) == record.data);
      }
  }
}

#ifdef MNV3_WITH_ZLIB

TEST_CASE("what Python compresses is unpacked") {
  // zlib.compressobj(wbits=-15, level=9): 'hello hello hello', fixed codes; then all bytes stored.
  const auto unpack = [](std::string_view packed, std::size_t size) {
    const InputFile file(std::as_bytes(std::span(packed)));
    std::string bytes(size, '?');
    mnv3::weights::inflate(file, 0, packed.size(), bytes.data(), bytes.size());
    return bytes;
  };
  const std::string hello = "\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x90\x00"s;
  CHECK(unpack(hello, 17) == "hello hello hello");
  CHECK(unpack("\x01\x03\0\xfc\xff"
               "abc"s,
               3) == "abc");
  CHECK(unpack("\x03\0"s, 0).empty());
  for (const std::size_t wrong : {0, 16, 18, 1000})
    CHECK_THROWS_AS(unpack(hello, wrong), mnv3::WeightsError);
  CHECK_THROWS_AS(unpack("\x07", 0), mnv3::WeightsError);  // no such kind of block
  CHECK_THROWS_AS(unpack("\x01\x03\0\xfc\xfe"
                         "abc"s,
                         3),
                  mnv3::WeightsError);                                  // its size
  CHECK_THROWS_AS(unpack("\x4b\x02\x42\0"s, 300), mnv3::WeightsError);  // too short
  CHECK_THROWS_AS(unpack("", 0), mnv3::WeightsError);
  CHECK_THROWS_AS(unpack(hello + "x", 17), mnv3::WeightsError);  // more than it
  // Longer than what is read and written at a time: 300 blocks of 65535 bytes as they are.
  std::string stored, large;
  for (int block = 0; block < 300; ++block) {
    const std::string bytes(65535, static_cast<char>(block));
    stored += (block == 299 ? "\1"s : "\0"s) + "\xff\xff\0\0"s + bytes;
    large += bytes;
  }
  CHECK(unpack(stored, large.size()) == large);
  CHECK_THROWS_AS(unpack(stored, large.size() - 1), mnv3::WeightsError);
  CHECK_THROWS_AS(unpack(stored, large.size() + 1), mnv3::WeightsError);
  CHECK_THROWS_AS(unpack(std::string_view(stored).substr(0, 1 << 20), large.size()),
                  mnv3::WeightsError);
}

#else

TEST_CASE("without zlib, what is compressed says so") {
  Archive zip{{{"a/first", "\3\0"}}};
  zip.records[0].method = 8;
  zip.records[0].said_bytes = 0;
  CHECK(contains(error_of(zip.bytes()), "this program was built without zlib"));
}

#endif
