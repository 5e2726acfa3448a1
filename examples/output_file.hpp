// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fmt/format.h>

namespace examples {

/// A file cannot be written. The message names it.
struct OutputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Closes a C stream at the end of a scope.
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// A name beside `path`, so that renaming it to `path` stays within one file system.
inline std::string temporary_beside(const std::string& path) {
  return fmt::format("{}.{}.tmp", path, ::getpid());
}

/// Throws OutputError unless `path` can be created or replaced: a program that works for minutes
/// before it writes asks this first.
inline void require_writable(const std::string& path) {
  namespace fs = std::filesystem;
  const auto refuse = [&](const std::string& why) {
    throw OutputError(fmt::format("cannot write \"{}\": {}", path, why));
  };
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) refuse("it is a directory");
  // A device or a pipe would be replaced by the file, or would block.
  if (fs::exists(status) && !fs::is_regular_file(status)) refuse("it is not a regular file");

  if (fs::exists(status) && ::access(path.c_str(), W_OK) != 0)
    refuse(std::generic_category().message(errno));

  // What is written beside a link's target is renamed there, not beside the link.
  const fs::path target = fs::exists(status) ? fs::canonical(path, error) : fs::path(path);
  fs::path folder = target.parent_path();
  if (folder.empty()) folder = ".";
  if (!fs::exists(folder, error))
    refuse(fmt::format("there is no directory \"{}\"", folder.string()));

  const std::string trial = temporary_beside(target.string());
  // "x": never touch a file that is there already.
  if (File file{std::fopen(trial.c_str(), "wbx")}; !file) {
    refuse(std::generic_category().message(errno));
  }
  fs::remove(trial, error);
}

}  // namespace examples
