// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mnv3/weights/bytes/file_descriptor.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// A file of which parts are read. What is asked for must lie within the size that it had when it
/// was opened, so that no number in the file can make us allocate more than the file has.
///
/// Errors  WeightsError, without the file's name.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    // Asked before opening it, because opening a pipe would wait for its other end.
    if (status.type() == std::filesystem::file_type::not_found)
      throw WeightsError("there is no such file");
    if (std::filesystem::is_directory(status)) throw WeightsError("it is a directory");
    if (error) throw WeightsError(error.message());
    if (!std::filesystem::is_regular_file(status)) throw WeightsError("it is not a regular file");
    take(FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  }

  explicit InputFile(FileDescriptor file) { take(std::move(file)); }

  std::uint64_t size() const { return size_; }

  /// How much has been read so far, all in all.
  std::uint64_t bytes_read() const { return bytes_read_; }

  /// Whether these bytes lie in the file.
  bool has(std::uint64_t begin, std::uint64_t size) const {
    return begin <= size_ && size <= size_ - begin;
  }

  /// Copies exactly `size` bytes from there. Safe to call from several threads.
  void read(std::uint64_t begin, void* to, std::size_t size) const {
    if (!has(begin, size)) throw WeightsError("it ends too early. Copy or download it again");
    auto* out = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t count = ::pread(file_.get(), out, size, static_cast<off_t>(begin));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(errno);
      if (count == 0) throw WeightsError("it ends too early: it has shrunk while it was read");
      out += count;
      begin += static_cast<std::uint64_t>(count);
      size -= static_cast<std::size_t>(count);
      bytes_read_ += static_cast<std::uint64_t>(count);
    }
  }

  std::string read(std::uint64_t begin, std::uint64_t size) const {
    if (!has(begin, size)) throw WeightsError("it ends too early. Copy or download it again");
    std::string bytes(static_cast<std::size_t>(size), '\0');
    read(begin, bytes.data(), bytes.size());
    return bytes;
  }

 private:
  [[noreturn]] static void fail(int error) {
    throw WeightsError(std::generic_category().message(error));
  }

  void take(FileDescriptor file) {
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0) fail(errno);
    file_ = std::move(file);
    size_ = static_cast<std::uint64_t>(info.st_size);
  }

  FileDescriptor file_;
  std::uint64_t size_ = 0;
  mutable std::atomic<std::uint64_t> bytes_read_{0};
};

}  // namespace mnv3::weights
