// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <mnv3/hub/cache.hpp>
#include <mnv3/weights/bytes/file_descriptor.hpp>
#include <mnv3/weights/bytes/sha256.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::hub::detail {

/// What a server has said about the file of which a part is here.
struct Origin {
  std::string etag;  ///< A strong one, or empty.
  std::optional<std::uint64_t> total;

  friend bool operator==(const Origin&, const Origin&) = default;
};

/// What has come of a file so far: `NAME.partial` beside its place, under the same name in each
/// run, so that the next one goes on. Locked: one process and thread at a time has it. What the
/// server has said about the file lies in `NAME.partial.origin`.
///
/// Errors  WeightsError with the file's name, the system's message and what to do.
class PartialFile {
 public:
  /// The partial file of `target`, once nobody else has it; `wait` is called meanwhile with its
  /// size. None if somebody else has completed the target, unless it is to be replaced.
  static std::optional<PartialFile> open(const std::filesystem::path& target, bool replace,
                                         const std::function<void(std::uint64_t)>& wait) {
    std::error_code error;
    const auto type = std::filesystem::status(target, error).type();
    if (type != std::filesystem::file_type::regular && std::filesystem::exists(target, error))
      throw WeightsError(fmt::format("mnv3: {} is no regular file", target.string()));
    if (!replace && is_file(target)) return std::nullopt;  // also where nothing can be written
    const std::filesystem::path folder = folder_of(target);
    std::filesystem::create_directories(folder, error);
    if (error) fail("create the folder", folder, error.value());
    while (true) {
      PartialFile file(target);
      file.lock(wait);
      if (!file.is_current()) continue;  // whoever had it has completed or given up on it
      if (replace || !is_file(target)) return file;
      file.remove();
      return std::nullopt;
    }
  }

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  const Origin& origin() const { return origin_; }

  /// Begins again, with what the server says now.
  void restart(Origin origin) {
    if (::ftruncate(file_.get(), 0) != 0) fail("write", path_, errno);
    size_ = 0;
    // After the old bytes are gone and before the new ones come: they are never told for others.
    write_origin(origin);
    origin_ = std::move(origin);
  }

  void append(std::span<const char> bytes) {
    while (!bytes.empty()) {
      const ssize_t count =
          ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail("write", path_, count == 0 ? EIO : errno);
      size_ += static_cast<std::uint64_t>(count);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  /// Of what is on the disk, from its beginning.
  std::string sha256() const {
    constexpr std::size_t piece = std::size_t{1} << 18;
    const auto buffer = std::make_unique<unsigned char[]>(piece);
    Sha256 hash;
    for (std::uint64_t begin = 0;;) {
      const ssize_t count = ::pread(file_.get(), buffer.get(), piece, static_cast<off_t>(begin));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("read", path_, errno);
      if (count == 0) return std::move(hash).hex();
      hash.update(std::span(buffer.get(), static_cast<std::size_t>(count)));
      begin += static_cast<std::uint64_t>(count);
    }
  }

  /// Makes it durable, and then gives it the target's name.
  void commit() {
    if (::fsync(file_.get()) != 0) fail("write", path_, errno);
    ::unlink(origin_path().c_str());
    if (::rename(path_.c_str(), target_.c_str()) != 0) fail("rename to", target_, errno);
    const weights::FileDescriptor folder(::open(folder_of(target_).c_str(), O_RDONLY | O_CLOEXEC));
    if (folder) static_cast<void>(::fsync(folder.get()));  // some file systems cannot
  }

  void remove() {
    if (!is_current()) return;  // it has been removed already, and the name may be somebody else's
    ::unlink(origin_path().c_str());
    ::unlink(path_.c_str());
  }

 private:
  explicit PartialFile(const std::filesystem::path& target)
      : target_(target), path_(target.string() + ".partial") {
    // Without waiting for a pipe's other end, and not where a link of somebody else's leads. The
    // permissions are those that the user's umask gives.
    file_ = weights::FileDescriptor(
        ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
    struct stat info {};
    if (!file_ || ::fstat(file_.get(), &info) != 0) fail("write", path_, errno);
    if (!S_ISREG(info.st_mode))
      throw WeightsError(fmt::format("mnv3: {} is no regular file; remove it", path_.string()));
  }

  void lock(const std::function<void(std::uint64_t)>& wait) {
    // Not until it is free: the user may want to cancel.
    while (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) fail("lock", path_, errno);
      wait(size_on_disk());
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    size_ = size_on_disk();
    read_origin();
  }

  /// Whether the file that is locked is still the one that has the name.
  bool is_current() const {
    struct stat ours {
    }, named{};
    return ::fstat(file_.get(), &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
           ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
  }

  std::uint64_t size_on_disk() const {
    struct stat info {};
    if (::fstat(file_.get(), &info) != 0) fail("read", path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  std::filesystem::path origin_path() const { return path_.string() + ".origin"; }

  /// Two lines: ETag and size, each empty where it is not known.
  void write_origin(const Origin& origin) const {
    const std::filesystem::path path = origin_path();
    const weights::FileDescriptor file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
    const std::string text =
        fmt::format("{}\n{}\n", origin.etag, origin.total ? std::to_string(*origin.total) : "");
    if (!file) fail("write", path, errno);
    const ssize_t count = ::write(file.get(), text.data(), text.size());
    if (count < 0) fail("write", path, errno);
    if (static_cast<std::size_t>(count) != text.size()) fail("write", path, ENOSPC);
  }

  void read_origin() {
    const std::filesystem::path path = origin_path();
    const weights::FileDescriptor file(
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    char buffer[1024];
    const ssize_t count = file ? ::read(file.get(), buffer, sizeof buffer) : 0;
    if (count <= 0) return;  // then nothing is known about it
    const std::string_view text(buffer, static_cast<std::size_t>(count));
    const std::size_t first = text.find('\n'), second = text.find('\n', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return;
    origin_.etag = text.substr(0, first);
    const std::string_view digits = text.substr(first + 1, second - first - 1);
    std::uint64_t total = 0;
    const auto [end, problem] = std::from_chars(digits.begin(), digits.end(), total);
    if (problem == std::errc() && end == digits.end()) origin_.total = total;
  }

  [[noreturn]] static void fail(std::string_view verb, const std::filesystem::path& path,
                                int error) {
    throw WeightsError(fmt::format(
        "mnv3: cannot {} {}: {}. Make room or give permission there, or set TORCH_HOME to another "
        "folder",
        verb, path.string(), std::generic_category().message(error)));
  }

  static std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  }

  std::filesystem::path target_;
  std::filesystem::path path_;
  weights::FileDescriptor file_;
  std::uint64_t size_ = 0;
  Origin origin_;
};

}  // namespace mnv3::hub::detail
