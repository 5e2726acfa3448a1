// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
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

/// The system calls that write a file, so that a test can have any of them fail.
struct WritingCalls {
  static int open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
  static ssize_t write(int file, const void* from, std::size_t size) {
    return ::write(file, from, size);
  }
  static int fchown(int file, uid_t user, gid_t group) { return ::fchown(file, user, group); }
  static int fchmod(int file, mode_t mode) { return ::fchmod(file, mode); }
  static int fsync(int file) { return ::fsync(file); }
  static int close(int file) { return ::close(file); }
  static int linkat(int file, const char* path) {
    const std::string name = text("/proc/self/fd/", file);
    return ::linkat(AT_FDCWD, name.c_str(), AT_FDCWD, path, AT_SYMLINK_FOLLOW);
  }
  static int rename(const char* from, const char* to) { return ::rename(from, to); }
};

/// A file that appears under its name only when it is complete. Until then it has no name at all,
/// where the file system can do that, so that a process that dies leaves nothing behind; else it
/// has another name beside. Destroyed before `commit`, it leaves everything as it was.
///
/// A file that was there keeps its permissions, and its owner and group if we may give it those;
/// where we may not, what they alone were permitted is permitted to nobody. A symbolic link is
/// followed, also where nothing is yet. Another hard link to the old file keeps the old content.
///
/// Errors  WeightsError with the system's message, without the file's name.
/// Source  Linux man-pages 6.03: open(2) on O_TMPFILE, fsync(2).
template <class Calls>
class BasicAtomicFile {
 public:
  explicit BasicAtomicFile(const std::filesystem::path& path) : target_(follow(path)) {
    struct stat old {};
    const bool exists = ::stat(target_.c_str(), &old) == 0;
    if (!exists && errno != ENOENT) fail(errno);
    if (exists && S_ISDIR(old.st_mode)) fail(EISDIR);
    if (exists && !S_ISREG(old.st_mode)) throw WeightsError("it is not a regular file");
    if (exists && ::access(target_.c_str(), W_OK) != 0) fail(errno);  // rename would not mind
    open_temporary(exists ? old.st_mode & 0666U : 0666U);
    if (exists) take_after(old);
  }

  BasicAtomicFile(const BasicAtomicFile&) = delete;
  BasicAtomicFile& operator=(const BasicAtomicFile&) = delete;

  ~BasicAtomicFile() { remove_temporary(); }

  /// Appends. After an error it does nothing; `commit` reports it. (An exception must not pass
  /// through the C code that calls this.)
  void write(const void* from, std::size_t size) noexcept {
    const auto* bytes = static_cast<const char*>(from);
    while (size > 0 && error_ == 0) {
      const ssize_t count = Calls::write(file_.get(), bytes, size);
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
    if (Calls::fsync(file_.get()) != 0) fail(errno);
    if (temporary_.empty()) name_temporary();
    if (Calls::close(file_.release()) != 0) fail(errno);
    if (Calls::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
    temporary_.clear();
    sync_folder();
  }

 private:
  [[noreturn]] static void fail(int error) {
    throw WeightsError(std::generic_category().message(error));
  }

  /// The file that a symbolic link stands for, whether or not it is there, so that the link
  /// survives.
  static std::filesystem::path follow(std::filesystem::path path) {
    constexpr int most = 40;  // as Linux has it
    for (int links = 0; links <= most; ++links) {
      std::error_code error;
      if (!std::filesystem::is_symlink(path, error)) return path;
      const std::filesystem::path next = std::filesystem::read_symlink(path, error);
      if (error) fail(error.value());
      path = next.is_absolute() ? next : path.parent_path() / next;
    }
    fail(ELOOP);
  }

  static std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  }

  /// A name beside the target that nobody has, as far as we know.
  std::string next_name() const {
    static std::atomic<unsigned> counter{0};
    return folder_of(target_) / text(".mnv3-", ::getpid(), '-', counter++, ".tmp");
  }

  /// Tries names until `make` succeeds with one: a dead process with our number may have left some.
  template <class Make>
  void try_names(Make make) {
    constexpr int attempts = 1000;
    for (int i = 0; i < attempts; ++i) {
      std::string name = next_name();
      if (make(name.c_str())) {
        temporary_ = std::move(name);
        return;
      }
      if (errno != EEXIST) fail(errno);
    }
    fail(EEXIST);
  }

  /// @param mode  Less what the user's umask takes, as if we had made it by any other program.
  void open_temporary(mode_t mode) {
    constexpr int flags = O_WRONLY | O_CLOEXEC;
#ifdef O_TMPFILE
    if (::access("/proc/self/fd", X_OK) == 0)  // what `linkat` needs
      file_ = FileDescriptor(Calls::open(folder_of(target_).c_str(), O_TMPFILE | flags, mode));
    if (file_) return;
#endif
    // Whatever is wrong, if it is not that the file system cannot do this, is wrong here, too.
    try_names([&](const char* name) {
      file_ = FileDescriptor(Calls::open(name, flags | O_CREAT | O_EXCL, mode));
      return static_cast<bool>(file_);
    });
  }

  void name_temporary() {
    try_names([&](const char* name) { return Calls::linkat(file_.get(), name) == 0; });
  }

  void take_after(const struct stat& old) {
    mode_t mode = old.st_mode & 07777U;
    struct stat now {};
    if (::fstat(file_.get(), &now) != 0) fail_and_remove(errno);
    if (now.st_uid != old.st_uid || now.st_gid != old.st_gid) {
      if (Calls::fchown(file_.get(), old.st_uid, old.st_gid) != 0) {
        if (now.st_uid != old.st_uid) mode &= ~static_cast<mode_t>(S_ISUID);
        if (now.st_gid != old.st_gid &&
            Calls::fchown(file_.get(), static_cast<uid_t>(-1), old.st_gid) != 0)
          mode &= ~static_cast<mode_t>(S_ISGID | S_IRWXG);
      }
    }
    // A file system without permissions refuses, and has none to lose.
    if (Calls::fchmod(file_.get(), mode) != 0 && errno != EPERM && errno != ENOTSUP)
      fail_and_remove(errno);
  }

  [[noreturn]] void fail_and_remove(int error) {
    remove_temporary();  // no destructor runs after a constructor that throws
    fail(error);
  }

  void remove_temporary() noexcept {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
  }

  /// The new name is durable when the folder is.
  void sync_folder() const {
    const FileDescriptor folder(
        Calls::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
    if (!folder && errno == EACCES) return;  // one may write into a folder that one may not read
    if (folder && Calls::fsync(folder.get()) == 0) return;
    if (folder && (errno == EINVAL || errno == ENOTSUP || errno == EBADF)) return;  // it cannot
    throw WeightsError(text("it was written, but may not survive a power failure: ",
                            std::generic_category().message(errno)));
  }

  std::filesystem::path target_;
  std::string temporary_;  // its name, if it has one
  FileDescriptor file_;
  int error_ = 0;
};

using AtomicFile = BasicAtomicFile<WritingCalls>;

}  // namespace mnv3::weights
