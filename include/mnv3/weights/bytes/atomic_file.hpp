// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <mnv3/weights/bytes/file_descriptor.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// A file that appears under its name only when it is complete: written under another name beside
/// it, then renamed. Destroyed before `commit`, it leaves everything as it was.
///
/// Errors  WeightsError with the system's message, without the file's name.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path) : target_(resolve(path)) {
    struct stat old {};
    const bool exists = ::stat(target_.c_str(), &old) == 0;
    if (exists && S_ISDIR(old.st_mode)) fail(EISDIR);
    if (exists && !S_ISREG(old.st_mode)) throw WeightsError("it is not a regular file");
    if (exists && ::access(target_.c_str(), W_OK) != 0) fail(errno);  // rename would not mind
    create_temporary();
    if (exists) static_cast<void>(::fchmod(file_.get(), old.st_mode & 07777U));  // if we may
  }

  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  ~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  /// Appends. After an error it does nothing; `commit` reports it. (An exception must not pass
  /// through the C code that calls this.)
  void write(const void* from, std::size_t size) noexcept {
    const auto* bytes = static_cast<const char*>(from);
    while (size > 0 && error_ == 0) {
      const ssize_t count = ::write(file_.get(), bytes, size);
      if (count <= 0) {
        if (count == 0 || errno != EINTR) error_ = count == 0 ? EIO : errno;
        continue;
      }
      bytes += count;
      size -= static_cast<std::size_t>(count);
    }
  }

  /// Throws if a write has failed.
  void check() const {
    if (error_ != 0) fail(error_);
  }

  /// Makes the file durable, and then visible.
  void commit() {
    check();
    if (::fsync(file_.get()) != 0) fail(errno);
    if (::close(file_.release()) != 0) fail(errno);
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
    temporary_.clear();
    const FileDescriptor folder(::open(folder_of(target_).c_str(), O_RDONLY | O_CLOEXEC));
    if (folder) static_cast<void>(::fsync(folder.get()));  // some file systems cannot
  }

 private:
  [[noreturn]] static void fail(int error) {
    throw WeightsError(std::generic_category().message(error));
  }

  /// The file that a symbolic link stands for, so that the link survives.
  static std::filesystem::path resolve(const std::filesystem::path& path) {
    std::error_code error;
    if (!std::filesystem::is_symlink(path, error)) return path;
    const auto resolved = std::filesystem::canonical(path, error);
    return error ? path : resolved;
  }

  static std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  }

  void create_temporary() {
    static std::atomic<unsigned> counter{0};
    constexpr int attempts = 1000;  // against what a dead process with our number left
    for (int i = 0; i < attempts; ++i) {
      const std::filesystem::path name =
          folder_of(target_) / fmt::format(".mnv3-{}-{}.tmp", ::getpid(), counter++);
      // open, not mkstemp: the permissions are to be those that the user's umask gives.
      file_ = FileDescriptor(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (file_) {
        temporary_ = name;
        return;
      }
      if (errno != EEXIST) fail(errno);
    }
    fail(EEXIST);
  }

  std::filesystem::path target_;
  std::filesystem::path temporary_;
  FileDescriptor file_;
  int error_ = 0;
};

}  // namespace mnv3::weights
