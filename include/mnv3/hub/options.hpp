// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include <mnv3/hub/progress.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::hub {

/// How to download. The defaults print nothing and suit a file of some megabytes.
struct DownloadOptions {
  Progress progress = {};

  /// A larger file is refused, so that no server can fill the disk.
  std::uint64_t max_bytes = std::uint64_t{1} << 30;

  /// For name look-up, connection and TLS together.
  std::chrono::milliseconds connect_timeout{20'000};
  /// A transfer that stays below so many bytes a second for so long has stalled.
  std::uint64_t low_speed_bytes = 100;
  std::chrono::seconds low_speed_time{30};

  /// How often in a row it may fail for the moment (the connection breaks or stalls, the server is
  /// busy) before that is an error. What brings the file further is no failure.
  int attempts = 5;
  /// Before the second attempt; each time twice as long. A server's own Retry-After comes first.
  std::chrono::milliseconds first_delay{500};
  /// A server that asks for more patience than this is not asked again.
  std::chrono::seconds longest_delay{60};

  /// Empty: what the variables http_proxy, https_proxy, all_proxy and no_proxy say.
  std::string proxy = {};
  /// Certificates in PEM. Empty: $CURL_CA_BUNDLE, else $SSL_CERT_FILE, else the system's.
  std::filesystem::path ca_file = {};

  /// Downloads also what is there, which stays until the new bytes have turned out right.
  bool replace = false;
};

/// The progress callback has said so. What has come stays in a partial file and is continued.
class DownloadCancelled : public WeightsError {
 public:
  using WeightsError::WeightsError;
};

}  // namespace mnv3::hub
