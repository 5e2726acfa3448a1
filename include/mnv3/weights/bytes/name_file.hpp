// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string_view>

#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// Runs `action`. Its WeightsErrors then name the file, and have one line.
template <class Action>
auto name_file_in_errors(std::string_view verb, const std::filesystem::path& path, Action action) {
  try {
    return action();
  } catch (const WeightsError& error) {
    const std::string_view what = error.what();
    throw WeightsError(
        text("mnv3: cannot ", verb, ' ', path.string(), ": ", what.substr(0, what.find('\n'))));
  }
}

}  // namespace mnv3::weights
