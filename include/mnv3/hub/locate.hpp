// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <optional>

#include <mnv3/config/published.hpp>
#include <mnv3/hub/cache.hpp>
#include <mnv3/hub/downloader.hpp>
#ifdef MNV3_WITH_HUB
#include <mnv3/hub/download.hpp>
#endif

namespace mnv3::hub {

/// The file of published weights: from the cache, else downloaded into it, if a file of the program
/// is compiled with the target mnv3::hub (which defines MNV3_WITH_HUB) or includes <mnv3/hub.hpp>.
///
/// Errors  WeightsError if the file is not there and cannot be downloaded; says what to do.
inline std::filesystem::path locate(const PublishedWeights& weights) {
  if (const std::optional<std::filesystem::path> found = find_in_cache(weights)) return *found;
  if (const detail::Downloader download = detail::downloader) return download(weights);
  throw not_in_cache(weights);
}

}  // namespace mnv3::hub
