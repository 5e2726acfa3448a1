// SPDX-License-Identifier: MIT
// The cache alone, without libcurl, as cache.py asks for it:
//     cache_tool folder | find URL | locate URL
#include <mnv3/hub/cache.hpp>
#include <mnv3/hub/locate.hpp>

#include <string_view>

#include <fmt/format.h>

int main(int count, char** arguments) {
  const std::string_view command = count > 1 ? arguments[1] : "";
  const mnv3::PublishedWeights weights{.name = "a test's",
                                       .url = count > 2 ? arguments[2] : "",
                                       .network = nullptr,
                                       .acc1 = 0,
                                       .acc5 = 0,
                                       .preset = {}};
  try {
    if (command == "folder")
      fmt::print("{}", mnv3::hub::cache_folder().string());
    else if (command == "find")
      fmt::print("{}", mnv3::hub::find_in_cache(weights).value_or("none").string());
    else if (command == "locate")
      fmt::print("{}", mnv3::hub::locate(weights).string());
    else
      return 1;
  } catch (const mnv3::WeightsError& error) {
    fmt::print("{}", error.what());
    return 2;
  }
}
