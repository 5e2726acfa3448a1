// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <mnv3/config/published.hpp>
#include <mnv3/weights/bytes/file_descriptor.hpp>
#include <mnv3/weights/bytes/sha256.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/tensors/name_file.hpp>

namespace mnv3 {

namespace weights {

/// The SHA-256 of a regular file, in hex.
///
/// Errors  WeightsError with the system's message, without the file's name.
inline std::string sha256_of(const std::filesystem::path& path) {
  const auto fail = [] { throw WeightsError(std::generic_category().message(errno)); };
  // Without waiting: the other end of a pipe may never open.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0) fail();
  if (!S_ISREG(info.st_mode)) throw WeightsError("it is not a regular file");
  constexpr std::size_t piece = std::size_t{1} << 18;
  const auto buffer = std::make_unique<unsigned char[]>(piece);
  Sha256 hash;
  while (true) {
    const ssize_t count = ::read(file.get(), buffer.get(), piece);
    if (count == 0) return std::move(hash).hex();
    if (count > 0)
      hash.update(std::span(buffer.get(), static_cast<std::size_t>(count)));
    else if (errno != EINTR)
      fail();
  }
}

}  // namespace weights

/// Whether the name of the file carries digits of its SHA-256, as in
/// `mobilenet_v3_large-8738ca79.pth` (see `hash_in_name`), and they are right.
///
/// Errors  WeightsError if they are not, with both hashes, or if the file cannot be read.
inline bool verify_hash(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const std::string_view wanted = hash_in_name(name);
  if (wanted.empty()) return false;
  const std::string found =
      weights::name_file_in_errors("read", path, [&] { return weights::sha256_of(path); });
  if (!found.starts_with(wanted)) {
    throw WeightsError(fmt::format(
        "mnv3: {} is not the file that its name promises: its SHA-256 should begin with {}, but is "
        "{}. It is damaged or was changed: get it again from where it was published. If those "
        "digits are not a hash, rename the file or pass {{.verify_hash = false}}",
        path.string(), wanted, found));
  }
  return true;
}

}  // namespace mnv3
