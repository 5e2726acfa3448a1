// SPDX-License-Identifier: MIT
#include <mnv3/config/name.hpp>

#include <string_view>

namespace {

using mnv3::Name;

// Names are put together from texts and numbers of any length.
static_assert((Name{} + "features." + 0).view() == "features.0");
static_assert((Name{} + "features." + 10 + ".block." + 3).view() == "features.10.block.3");
static_assert((Name{} + 1207).view() == "1207");
static_assert(Name{}.view().empty());
static_assert(std::string_view(Name{} + "a") == "a");

// Long names fit: three digits of features and more.
static_assert((Name{} + "features." + 9999 + ".block." + 3 + ".1.num_batches_tracked").view() ==
              "features.9999.block.3.1.num_batches_tracked");

}  // namespace
