// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "folder.hpp"

// Python's torch, for files that it writes and for what it says to ours.

namespace files {

inline std::string python() {
  const char* const chosen = std::getenv("MNV3_PYTHON");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/usr/bin/python3";
}

inline bool run(const std::filesystem::path& script, std::string_view argument) {
  const std::string command = fmt::format("'{}' '{}' '{}'", python(), script.string(), argument);
  return std::system(command.c_str()) == 0;
}

/// False, and a loud word about it, where there is no Python with torch.
inline bool has_torch() {
  static const bool found =
      std::system(fmt::format("'{}' -c 'import torch' >/dev/null 2>&1", python()).c_str()) == 0;
  if (!found)
    MESSAGE("SKIPPED: ", python(), " cannot import torch; set MNV3_PYTHON to a Python that can");
  return found;
}

/// Runs a script with the folder as its argument; its files are there afterwards.
inline void run_script(const TemporaryFolder& folder, std::string_view code) {
  write(folder / "script.py", code);
  REQUIRE(run(folder / "script.py", folder.path().string()));
}

}  // namespace files
