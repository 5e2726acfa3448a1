// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <mnv3/config/published.hpp>
#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/name_file.hpp>
#include <mnv3/weights/bytes/sha256.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/checkpoint_file.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3 {

namespace weights {

/// The SHA-256 of a file, in hex.
///
/// Errors  WeightsError, without the file's name.
inline std::string sha256_of(const InputFile& file) {
  const auto buffer = std::make_unique<unsigned char[]>(limits::piece_bytes);
  Sha256 hash;
  for (std::uint64_t at = 0; at < file.size();) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(limits::piece_bytes, file.size() - at));
    file.read(at, buffer.get(), count);
    hash.update(std::span(buffer.get(), count));
    at += count;
  }
  return std::move(hash).hex();
}

/// What digits of a hash in a file's name are to the file.
struct HashCheck {
  bool is_right = false;
  std::string note{};  ///< What is to say where they are not, and the name is nobody's promise.
};

/// Compares the digits of a hash in the name of a file, if it has any, with the file's own.
///
/// Errors  WeightsError if the name is that of published weights and they are wrong.
inline HashCheck check_hash(const InputFile& file, const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const std::string_view wanted = hash_in_name(name);
  if (wanted.empty()) return {};
  const bool is_published = published_as(name) != nullptr;
  if (!is_published && file.size() > limits::hashed_bytes)
    return {.note = text("the digits ", wanted,
                         " in its name were not compared with its SHA-256: it has ", file.size(),
                         " bytes, more than ", limits::hashed_bytes)};
  const std::string found = name_file_in_errors("read", path, [&] { return sha256_of(file); });
  if (found.starts_with(wanted)) return {.is_right = true};
  if (!is_published)
    return {.note =
                text("the digits ", wanted, " in its name are not those of its SHA-256, which is ",
                     found, ": they may be a commit's or a run's")};
  throw WeightsError(text("mnv3: ", path.string(),
                          " is not the file that its name promises: its SHA-256 should begin with ",
                          wanted, ", but is ", found,
                          ". It is damaged or was changed: get it again from where it was "
                          "published, or rename it, or pass {.verify_hash = false}"));
}

/// A weights file that was opened once: what was hashed is what is read.
struct VerifiedFile {
  CheckpointFile file;
  std::string note{};
};

/// Opens a weights file and, on request, compares the digits in its name. What it is, if it is no
/// weights file, is said before any hash is calculated.
///
/// A file whose hash is somebody's promise is held in memory, unless `holds` is false: then whoever
/// reads it asks at the end whether it has changed.
inline VerifiedFile open_verified(const std::filesystem::path& path, bool verifies_hash,
                                  bool holds = true) {
  std::unique_ptr<InputFile> file = name_file_in_errors("read", path, [&] {
    auto opened = std::make_unique<InputFile>(path);
    // Nobody can change what is in our memory.
    if (holds && verifies_hash && published_as(path.string()) != nullptr)
      opened->hold(limits::held_bytes);
    return opened;
  });
  const InputFile& same = *file;
  VerifiedFile verified{CheckpointFile(std::move(file), path)};
  if (verifies_hash) verified.note = check_hash(same, path).note;
  return verified;
}

}  // namespace weights

/// Whether the name of the file carries digits of its SHA-256, as in
/// `mobilenet_v3_large-8738ca79.pth` (see `hash_in_name`), and they are right.
///
/// Errors  WeightsError, with both hashes, if they are not although the name is that of published
///         weights, or if the file cannot be read.
inline bool verify_hash(const std::filesystem::path& path) {
  if (hash_in_name(path.filename().string()).empty()) return false;
  const auto file = weights::name_file_in_errors(
      "read", path, [&] { return std::make_unique<weights::InputFile>(path); });
  return weights::check_hash(*file, path).is_right;
}

}  // namespace mnv3
