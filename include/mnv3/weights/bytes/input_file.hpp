// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mnv3/weights/bytes/file_descriptor.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// Bytes of which parts are read: an open file, or memory. What is asked for must lie within the
/// size that they had when it was opened.
///
/// Errors  WeightsError, without the file's name.
class InputFile {
 public:
  /// Opens a regular file. It is opened once and then asked what it is, so that nobody can put
  /// something else in its place in between, and without waiting for a pipe's other end.
  explicit InputFile(const std::filesystem::path& path) {
    take(FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)));
  }

  /// Takes over a regular file that is open.
  explicit InputFile(FileDescriptor file) { take(std::move(file)); }

  /// The caller's memory, which must outlive this. It is not copied.
  explicit InputFile(std::span<const std::byte> bytes)
      : memory_(bytes.data()), size_(bytes.size()) {}

  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }

  /// How much has been read so far, all in all.
  std::uint64_t bytes_read() const { return bytes_read_; }

  /// Whether these bytes lie in the file.
  bool has(std::uint64_t begin, std::uint64_t size) const {
    return begin <= size_ && size <= size_ - begin;
  }

  /// Whether somebody wrote to the file since it was opened, as its size and time say. A file that
  /// was replaced or renamed meanwhile has not changed, nor has what is in memory.
  bool has_changed() const {
    if (memory_ != nullptr) return false;
    struct stat info {};
    return ::fstat(file_.get(), &info) != 0 || static_cast<std::uint64_t>(info.st_size) != size_ ||
           info.st_mtim.tv_sec != written_.tv_sec || info.st_mtim.tv_nsec != written_.tv_nsec;
  }

  /// Copies exactly `size` bytes from there. Safe to call from several threads.
  void read(std::uint64_t begin, void* to, std::size_t size) const {
    if (!has(begin, size)) throw WeightsError("it ends too early. Copy or download it again");
    if (size == 0) return;
    if (memory_ != nullptr)
      std::memcpy(to, memory_ + begin, size);
    else
      read_from_disk(begin, to, size);
    bytes_read_ += size;
  }

  /// Those bytes, of which there may be `at_most`.
  std::string read(std::uint64_t begin, std::uint64_t size, std::uint64_t at_most) const {
    if (!has(begin, size)) throw WeightsError("it ends too early. Copy or download it again");
    if (size > at_most)
      throw WeightsError(text("a part of it has ", size, " bytes, more than ", at_most));
    std::string bytes(static_cast<std::size_t>(size), '\0');
    read(begin, bytes.data(), bytes.size());
    return bytes;
  }

  /// Reads all of it into memory and from then on serves that: what is hashed is then what is
  /// loaded, whatever becomes of the file. Not while others read.
  void hold(std::uint64_t at_most) {
    if (memory_ != nullptr) return;
    if (size_ > at_most)
      throw WeightsError(
          text("it has ", size_, " bytes, more than the ", at_most, " that may be held in memory"));
    const auto size = static_cast<std::size_t>(size_);
    // One more, since a null pointer means that nothing is held.
    auto held = std::make_unique_for_overwrite<std::byte[]>(size + 1);
    read_from_disk(0, held.get(), size);
    held_ = std::move(held);
    memory_ = held_.get();
    file_ = FileDescriptor();
  }

 private:
  [[noreturn]] static void fail(int error) {
    if (error == ENOENT || error == ENOTDIR) throw WeightsError("there is no such file");
    if (error == ENXIO) throw WeightsError("it is not a regular file");  // a socket
    throw WeightsError(std::generic_category().message(error));
  }

  void take(FileDescriptor file) {
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0) fail(errno);
    if (S_ISDIR(info.st_mode)) throw WeightsError("it is a directory");
    if (!S_ISREG(info.st_mode)) throw WeightsError("it is not a regular file");
    file_ = std::move(file);
    size_ = static_cast<std::uint64_t>(info.st_size);
    written_ = info.st_mtim;
  }

  void read_from_disk(std::uint64_t begin, void* to, std::size_t size) const {
    auto* out = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t count = ::pread(file_.get(), out, size, static_cast<off_t>(begin));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(errno);
      if (count == 0) throw WeightsError("it ends too early: it has shrunk while it was read");
      out += count;
      begin += static_cast<std::uint64_t>(count);
      size -= static_cast<std::size_t>(count);
    }
  }

  FileDescriptor file_;
  std::unique_ptr<std::byte[]> held_;
  const std::byte* memory_ = nullptr;
  std::uint64_t size_ = 0;
  timespec written_{};
  mutable std::atomic<std::uint64_t> bytes_read_{0};
};

}  // namespace mnv3::weights
