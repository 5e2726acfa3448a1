// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <filesystem>

#include <mnv3/config/published.hpp>

namespace mnv3::hub::detail {

using Downloader = std::filesystem::path (*)(const PublishedWeights&);

/// How the program downloads, or null. download.hpp puts itself here. A variable, not a branch on
/// MNV3_WITH_HUB: `locate` must be the same function in all files of a program, although only some
/// of them may be compiled with the target mnv3::hub.
inline constinit std::atomic<Downloader> downloader{nullptr};

}  // namespace mnv3::hub::detail
