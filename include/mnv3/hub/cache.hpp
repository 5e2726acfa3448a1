// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <pwd.h>
#include <unistd.h>

#include <mnv3/config/published.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::hub {

namespace detail {

/// The value of a variable of the environment; an empty one is a value, too, as it is in Python.
inline std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

/// The home folder in the system's list of users: `name`'s, or that of whoever runs the program.
inline std::optional<std::string> home_of(const std::string& name) {
  std::vector<char> memory(std::size_t{1} << 14);
  passwd entry{};
  passwd* found = nullptr;
  if (name.empty())
    ::getpwuid_r(::getuid(), &entry, memory.data(), memory.size(), &found);
  else
    ::getpwnam_r(name.c_str(), &entry, memory.data(), memory.size(), &found);
  return found == nullptr ? std::nullopt : std::optional<std::string>(found->pw_dir);
}

/// `~` and `~user` in front of a path; one that nobody has stays as it is.
/// Source  CPython 3.11 Lib/posixpath.py expanduser.
inline std::string expand_user(const std::string& path) {
  if (!path.starts_with('~')) return path;
  const std::string name = path.substr(1, path.find('/') - 1);
  std::optional<std::string> home = name.empty() ? variable("HOME") : std::nullopt;
  if (!home) home = home_of(name);
  if (!home) return path;
  home->erase(home->find_last_not_of('/') + 1);
  const std::string expanded = *home + path.substr(1 + name.size());
  return expanded.empty() ? "/" : expanded;
}

/// Whether there is a file, or a link to one, that can be read as one.
inline bool is_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

inline std::string describe(const char* name) {
  const std::optional<std::string> value = variable(name);
  return value ? weights::text(name, " is \"", *value, '"') : weights::text(name, " is not set");
}

/// How somebody gets the file without this program.
inline std::string by_hand(std::string_view url, const std::filesystem::path& target) {
  return weights::text("curl -L --create-dirs -o '", target.string(), "' '", url, '\'');
}

}  // namespace detail

/// Where Python keeps what it downloads: `hub/checkpoints` in `$TORCH_HOME`, else in
/// `$XDG_CACHE_HOME/torch`, else in `~/.cache/torch`. A variable that is set but empty counts, as
/// in Python: the folder is then relative to the current one. `torch.hub.set_dir` is not known.
/// Source  torch 1.13.1 hub.py L103-107, L336-342, L707-708.
inline std::filesystem::path cache_folder() {
  std::optional<std::string> home = detail::variable("TORCH_HOME");
  if (!home) {
    const std::filesystem::path cache = detail::variable("XDG_CACHE_HOME").value_or("~/.cache");
    home = (cache / "torch").string();
  }
  return std::filesystem::path(detail::expand_user(*home)) / "hub" / "checkpoints";
}

/// All places in which a file of these weights may lie, the best first.
///
/// Errors  WeightsError if the URL does not end in a file's name.
inline std::vector<std::filesystem::path> cache_places(const PublishedWeights& weights) {
  const std::string_view name = weights.file_name();
  if (name.empty() || name == "." || name == "..") {
    throw WeightsError(
        weights::text("mnv3: ", weights.url,
                      " has no file's name at its end, so the file has no place in the cache. Name "
                      "a place: mnv3::hub::download_file(url, hash, path)"));
  }
  return {cache_folder() / name};
}

/// The file of these weights, where Python or an earlier download has left it.
inline std::optional<std::filesystem::path> find_in_cache(const PublishedWeights& weights) {
  for (const std::filesystem::path& place : cache_places(weights))
    if (detail::is_file(place)) return place;
  return std::nullopt;
}

/// What to throw where the file is needed, is not in the cache and cannot be downloaded.
inline WeightsError not_in_cache(const PublishedWeights& weights) {
  std::string places;
  std::filesystem::path first;
  for (const std::filesystem::path& place : cache_places(weights)) {
    std::error_code error;
    const std::filesystem::path whole = std::filesystem::absolute(place, error);
    if (first.empty()) first = whole;
    places += weights::text("\n  looked for ", whole.string());
  }
  return WeightsError(
      weights::text("mnv3: ", weights.file_name(), " is not on this machine.", places, "\n  (",
                    detail::describe("TORCH_HOME"), ", ", detail::describe("XDG_CACHE_HOME"), ", ",
                    detail::describe("HOME"), ")\n  It is published as ", weights.url,
                    "\n  Download it by hand: ", detail::by_hand(weights.url, first),
                    "\n  or set TORCH_HOME to the folder whose hub/checkpoints has it,\n  or link "
                    "the target mnv3::hub, with which it is downloaded"));
}

}  // namespace mnv3::hub
