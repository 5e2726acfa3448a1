// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string_view>

#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// Runs `action`. Its WeightsErrors then name the file.
template <class Action>
auto name_file_in_errors(std::string_view verb, const std::filesystem::path& path, Action action) {
  try {
    return action();
  } catch (const WeightsError& error) {
    throw WeightsError(text("mnv3: cannot ", verb, ' ', path.string(), ": ", error.what()));
  }
}

}  // namespace mnv3::weights
