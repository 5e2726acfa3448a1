// SPDX-License-Identifier: MIT
#include <mnv3/weights/bytes/atomic_file.hpp>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "folder.hpp"

namespace {

using files::TemporaryFolder;
using mnv3::weights::AtomicFile;
using mnv3::weights::WritingCalls;

/// Lets the n-th call fail, or all of one kind.
struct Failing {
  inline static int calls_until_failure = -1;
  inline static int error = EIO;
  inline static std::string_view kind{};
  inline static bool without_tmpfile = false;

  static bool fails(std::string_view this_kind) {
    if (kind == this_kind || calls_until_failure-- == 0) {
      errno = error;
      return true;
    }
    return false;
  }
  static int open(const char* path, int flags, mode_t mode) {
    if (without_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
      errno = EOPNOTSUPP;
      return -1;
    }
    return fails("open") ? -1 : WritingCalls::open(path, flags, mode);
  }
  static ssize_t write(int file, const void* from, std::size_t size) {
    return fails("write") ? -1 : WritingCalls::write(file, from, size);
  }
  static int fchown(int file, uid_t user, gid_t group) {
    return fails("fchown") ? -1 : WritingCalls::fchown(file, user, group);
  }
  static int fchmod(int file, mode_t mode) {
    return fails("fchmod") ? -1 : WritingCalls::fchmod(file, mode);
  }
  static int fsync(int file) {
    struct stat info {};
    const bool is_folder = ::fstat(file, &info) == 0 && S_ISDIR(info.st_mode);
    return fails(is_folder ? "fsync of a folder" : "fsync") ? -1 : WritingCalls::fsync(file);
  }
  static int close(int file) {
    const int status = WritingCalls::close(file);
    return fails("close") ? -1 : status;
  }
  static int linkat(int file, const char* path) {
    return fails("linkat") ? -1 : WritingCalls::linkat(file, path);
  }
  static int rename(const char* from, const char* to) {
    return fails("rename") ? -1 : WritingCalls::rename(from, to);
  }
  static void reset() {
    calls_until_failure = -1;
    error = EIO;
    kind = {};
    without_tmpfile = false;
  }
};

template <class File = mnv3::weights::BasicAtomicFile<Failing>>
std::string error_of_write(const std::filesystem::path& path, std::string_view bytes = "new") {
  try {
    File file(path);
    file.write(bytes.data(), bytes.size());
    file.commit();
  } catch (const mnv3::WeightsError& error) {
    return error.what();
  }
  return {};
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777U;
}

}  // namespace

TEST_CASE("a link that leads to nothing yet is followed, one that leads to itself is refused") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "there");
  std::filesystem::create_symlink("there/real.pth", folder / "link.pth");
  std::filesystem::create_symlink("link.pth", folder / "link2.pth");
  CHECK(error_of_write<AtomicFile>(folder / "link2.pth").empty());
  CHECK(files::read(folder / "there" / "real.pth") == "new");
  CHECK(std::filesystem::is_symlink(folder / "link.pth"));
  CHECK(std::filesystem::is_symlink(folder / "link2.pth"));

  std::filesystem::create_symlink("b.pth", folder / "a.pth");
  std::filesystem::create_symlink("a.pth", folder / "b.pth");
  CHECK(error_of_write<AtomicFile>(folder / "a.pth") == "Too many levels of symbolic links");
  CHECK(std::filesystem::is_symlink(folder / "a.pth"));
  std::filesystem::create_symlink("none/c.pth", folder / "c.pth");
  CHECK(error_of_write<AtomicFile>(folder / "c.pth") == "No such file or directory");
  CHECK(std::filesystem::is_symlink(folder / "c.pth"));
}

TEST_CASE("whatever system call fails, the old file stays and nothing is left beside it") {
  for (const bool without_tmpfile : {false, true}) {
    int failures = 0;
    for (int n = 0;; ++n) {
      const TemporaryFolder folder;
      files::write(folder / "a.pth", "old");
      Failing::reset();
      Failing::without_tmpfile = without_tmpfile;
      Failing::calls_until_failure = n;
      const std::string error = error_of_write(folder / "a.pth");
      const bool has_failed = Failing::calls_until_failure < 0;
      Failing::reset();
      CHECK(folder.size() == 1);
      const bool is_visible = error.empty() || error.starts_with("it was written, but");
      CHECK(files::read(folder / "a.pth") == (is_visible ? "new" : "old"));
      if (!has_failed) {
        CHECK(error.empty());
        break;
      }
      failures += !error.empty();
      CHECK((error.empty() || error.ends_with("Input/output error")));
      REQUIRE(n < 20);
    }
    // fchmod, write, fsync, close, rename and the folder's open and fsync; linkat or open.
    CHECK(failures >= (without_tmpfile ? 8 : 7));
  }
}

TEST_CASE("a folder that cannot be made durable is an error, unless its file system never can") {
  for (const int error : {EIO, EINVAL, ENOTSUP, EBADF}) {
    const TemporaryFolder folder;
    Failing::reset();
    Failing::kind = "fsync of a folder";
    Failing::error = error;
    const std::string what = error_of_write(folder / "a.pth");
    Failing::reset();
    CHECK(what.empty() == (error != EIO));
    CHECK(files::read(folder / "a.pth") == "new");
  }
}

TEST_CASE("until it is complete a file has no name, where the file system can do that") {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a.pth");
  file.write("new", 3);
  if (folder.size() == 0) {
    file.commit();
  } else {
    MESSAGE("not checked: the file system has no O_TMPFILE");
  }
  CHECK(folder.size() <= 1);
}

TEST_CASE("the new file never has more permissions than the old one") {
  const mode_t mask = ::umask(0);
  for (const bool without_tmpfile : {false, true}) {
    const TemporaryFolder folder;
    files::write(folder / "a.pth", "old");
    REQUIRE(::chmod((folder / "a.pth").c_str(), 0640) == 0);
    Failing::reset();
    Failing::without_tmpfile = without_tmpfile;
    {
      Failing::kind = "fchmod";  // so that it keeps what it was made with
      Failing::error = EPERM;
      const mnv3::weights::BasicAtomicFile<Failing> file(folder / "a.pth");
      for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        CHECK((mode_of(entry.path()) & ~mode_t{0640}) == 0);
    }
    Failing::reset();
    CHECK(error_of_write(folder / "a.pth").empty());
    CHECK(mode_of(folder / "a.pth") == 0640);
  }
  if (::geteuid() == 0) {
    const TemporaryFolder folder;
    files::write(folder / "a.pth", "old");
    REQUIRE(::chown((folder / "a.pth").c_str(), 12345, 23456) == 0);
    REQUIRE(::chmod((folder / "a.pth").c_str(), 06670) == 0);
    CHECK(error_of_write<AtomicFile>(folder / "a.pth").empty());
    struct stat info {};
    REQUIRE(::stat((folder / "a.pth").c_str(), &info) == 0);
    CHECK(info.st_uid == 12345);
    CHECK(info.st_gid == 23456);
    CHECK((info.st_mode & 07777U) == 06670);
    // Where the owner cannot be kept, what the old group might do, another one may not.
    Failing::kind = "fchown";
    Failing::error = EPERM;
    CHECK(error_of_write(folder / "a.pth").empty());
    Failing::reset();
    CHECK(mode_of(folder / "a.pth") == 0600);
  }
  ::umask(mask);
}
