// SPDX-License-Identifier: MIT
#include <mnv3/weights/bytes/input_file.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <doctest/doctest.h>

#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>

#include "folder.hpp"

namespace {

using namespace std::string_literals;
using files::TemporaryFolder;
using mnv3::weights::InputFile;

using files::error_of;

std::string error_of_opening(const std::filesystem::path& path) {
  return error_of([&] { const InputFile file(path); });
}

}  // namespace

TEST_CASE("parts of a file and parts of memory are read alike, and nothing beyond") {
  const TemporaryFolder folder;
  const std::string bytes = "0123456789";
  files::write(folder / "a", bytes);
  InputFile on_disk(folder / "a"), held(folder / "a");
  const InputFile in_memory(std::as_bytes(std::span(bytes)));
  held.hold(10);
  constexpr std::uint64_t none = 0;
  for (const InputFile* const file : {&std::as_const(on_disk), &std::as_const(held), &in_memory}) {
    CHECK(file->size() == 10);
    CHECK(file->read(3, 4, 4) == "3456");
    CHECK(file->read(10, none, 0).empty());
    CHECK(file->bytes_read() == 4);
    CHECK(file->has(10, 0));
    CHECK_FALSE(file->has(10, 1));
    CHECK_FALSE(file->has(1, ~std::uint64_t{0}));
    CHECK(error_of([&] { file->read(8, 3, 99); }).starts_with("it ends too early"));
    CHECK(error_of([&] { file->read(0, 5, 4); }) == "a part of it has 5 bytes, more than 4");
  }
}

TEST_CASE("what is held stays as it was, and only so much is held") {
  const TemporaryFolder folder;
  files::write(folder / "a", "before");
  InputFile file(folder / "a");
  CHECK(error_of([&] { file.hold(5); }) ==
        "it has 6 bytes, more than the 5 that may be held in memory");
  file.hold(6);
  files::write(folder / "a", "after!");
  CHECK(file.read(0, 6, 6) == "before");
  files::write(folder / "empty", "");
  InputFile empty(folder / "empty");
  empty.hold(0);
  CHECK(empty.read(0, std::uint64_t{0}, 0).empty());
}

TEST_CASE("what is no regular file is refused without waiting for it") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(error_of_opening(folder / "pipe") == "it is not a regular file");
  CHECK(error_of_opening("/dev/null") == "it is not a regular file");
  CHECK(error_of_opening(folder.path()) == "it is a directory");
  CHECK(error_of_opening(folder / "none") == "there is no such file");
  CHECK(error_of_opening(folder / "none" / "a") == "there is no such file");
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string path = (folder / "socket").string();
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const mnv3::weights::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    CHECK(error_of_opening(path) == "it is not a regular file");
}

TEST_CASE("a text from a file is one short line without commands for a terminal") {
  using mnv3::weights::printable;
  CHECK(printable("features.0.weight") == "features.0.weight");
  CHECK(printable("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80") == "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
  CHECK(printable("a\x1b[31m\nb\0c\x7f"s) == "a?[31m?b?c?");
  CHECK(printable("\xc2\x9b"
                  "31m \xe2\x80\xae \xe2\x81\xa6 \xe2\x80\x8b \xef\xbb\xbf") == "?31m ? ? ? ?");
  CHECK(printable("\xe2\x80\x93 \xe2\x81\xa5") == "\xe2\x80\x93 \xe2\x81\xa5");  // a dash is fine
  // Not the shortest form, half a pair, too large, cut, no beginning.
  CHECK(printable("\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82") == "?? ??? ???? ??");
  CHECK(printable("\x80"s) == "?");
  const std::string longest(100, 'x');
  CHECK(printable(longest) == longest);
  CHECK(printable(longest + "x") == longest + "...");
  CHECK(printable("\xc3\xbc\xc3\xbc\xc3\xbc", 2) == "\xc3\xbc\xc3\xbc...");
  for (int second = 0; second < 256; ++second)  // whatever is not UTF-8 is not let through
    for (int lead = 128; lead < 256; ++lead)
      CHECK(mnv3::weights::is_utf8(printable(
          std::string{static_cast<char>(lead), static_cast<char>(second), '\xa0', '\x80'})));
  CHECK(mnv3::weights::is_utf8("12345678\xc3\xbc"));
  CHECK_FALSE(mnv3::weights::is_utf8("12345678\xc3"));
}
