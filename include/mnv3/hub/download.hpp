// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include <mnv3/config/published.hpp>
#include <mnv3/hub/cache.hpp>
#include <mnv3/hub/downloader.hpp>
#include <mnv3/hub/options.hpp>
#include <mnv3/hub/partial_file.hpp>
#include <mnv3/hub/transfer.hpp>

namespace mnv3::hub {

namespace detail {

/// Sleeps, but not through a cancellation.
inline void wait(std::chrono::milliseconds time, const Transfer& transfer) {
  using Clock = std::chrono::steady_clock;
  for (const auto end = Clock::now() + time; Clock::now() < end;) {
    transfer.report();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

/// Makes the partial file whole and right.
inline void complete(PartialFile& file, std::string_view sha256_prefix, Transfer& transfer,
                     const DownloadOptions& options) {
  const auto is_right = [&] { return file.sha256().starts_with(sha256_prefix); };
  if (file.size() > 0 && !sha256_prefix.empty() && is_right()) return;  // killed when all was there
  // Without a hash nothing would tell that two parts are of different files.
  if (sha256_prefix.empty() && file.origin().etag.empty()) file.restart({});

  std::uint64_t furthest = file.size();
  bool has_older_part = file.size() > 0;
  int failures = 0;
  auto delay = options.first_delay;
  while (true) {
    const Outcome outcome = transfer.run();
    switch (outcome.kind) {
      case Outcome::Kind::complete:
        if (is_right()) return;
        if (!has_older_part) {
          const std::string found = file.sha256();
          file.remove();
          transfer.fail(fmt::format(
              "the file that came is not the published one: its SHA-256 should begin with {}, but "
              "is {}. It was removed",
              sha256_prefix, found));
        }
        [[fallthrough]];  // the part was perhaps of another file
      case Outcome::Kind::anew:
        file.restart({});
        has_older_part = false;
        break;
      case Outcome::Kind::interrupted:
        if (file.size() > furthest) {
          furthest = file.size();
          failures = 0;
          delay = options.first_delay;
        }
        if (++failures >= options.attempts)
          transfer.fail(fmt::format("{}, {} times in a row", outcome.reason, failures));
        if (outcome.retry_after > options.longest_delay) {
          transfer.fail(fmt::format("{}, and asks to come back in {} s", outcome.reason,
                                    outcome.retry_after.count()));
        }
        wait(outcome.retry_after.count() > 0 ? outcome.retry_after : delay, transfer);
        delay = std::min<std::chrono::milliseconds>(2 * delay, options.longest_delay);
        has_older_part = file.size() > 0;
        if (sha256_prefix.empty() && file.origin().etag.empty()) file.restart({});
        break;
    }
  }
}

}  // namespace detail

/// Downloads a file over http or https, unless it is there. It appears under its name only when it
/// is whole and its SHA-256 begins with these digits (none: it is not checked). What has come
/// before a break, a cancellation or the end of the process is continued next time. Several
/// threads and processes may ask for the same file at once: one downloads, the others wait for it.
///
/// Errors  WeightsError with the URL, the reason and the way to do it by hand; DownloadCancelled.
inline void download_file(std::string_view url, std::string_view sha256_prefix,
                          const std::filesystem::path& target,
                          const DownloadOptions& options = {}) {
  const auto wait = [&](std::uint64_t size) {
    if (options.progress && !options.progress(size, std::nullopt))
      throw DownloadCancelled(
          fmt::format("mnv3: waiting for {}, which somebody else downloads, "
                      "was cancelled",
                      target.string()));
  };
  auto file = detail::PartialFile::open(target, options.replace, wait);
  if (!file) return;
  try {
    detail::Transfer transfer(std::string(url), target, options, *file);
    detail::complete(*file, sha256_prefix, transfer, options);
    file->commit();
  } catch (...) {
    if (file->size() == 0) file->remove();  // there is nothing to continue
    throw;
  }
  if (options.progress) options.progress(file->size(), file->size());
}

/// The file of published weights, in Python's cache (see `cache_folder`): downloaded, unless it is
/// there, and checked against the hash in its name.
///
///     const auto path = mnv3::hub::download(mnv3::torchvision_weights[2]);
///
/// Errors  as `download_file`.
inline std::filesystem::path download(const PublishedWeights& weights,
                                      const DownloadOptions& options = {}) {
  const std::filesystem::path target = cache_places(weights).front();
  if (!options.replace)
    if (const std::optional<std::filesystem::path> found = find_in_cache(weights)) return *found;
  download_file(weights.url, weights.sha256_prefix(), target, options);
  return target;
}

namespace detail {

/// Before main: from here on, `locate` downloads.
inline const bool is_registered = [] {
  downloader = [](const PublishedWeights& weights) { return download(weights); };
  return true;
}();

}  // namespace detail

}  // namespace mnv3::hub
