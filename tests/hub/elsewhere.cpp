// SPDX-License-Identifier: MIT
// A file of the same program that is compiled without the target mnv3::hub.
#undef MNV3_WITH_HUB
#include "elsewhere.hpp"

#include <mnv3/hub/locate.hpp>

#ifdef CURLINC_CURL_H
#error "locate.hpp alone must not need libcurl"
#endif

std::filesystem::path locate_elsewhere(const mnv3::PublishedWeights& weights) {
  return mnv3::hub::locate(weights);
}
