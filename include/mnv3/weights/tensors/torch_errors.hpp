// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string_view>

#include <c10/util/Exception.h>

#include <mnv3/weights/bytes/name_file.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// Runs `action`. LibTorch's errors become WeightsErrors.
template <class Action>
auto with_weights_errors(Action action) {
  try {
    return action();
  } catch (const c10::Error& error) {
    throw WeightsError(error.what_without_backtrace());
  }
}

/// `name_file_in_errors` for LibTorch's errors, too.
template <class Action>
auto name_file_in_torch_errors(std::string_view verb, const std::filesystem::path& path,
                               Action action) {
  return name_file_in_errors(verb, path, [&] { return with_weights_errors(action); });
}

}  // namespace mnv3::weights
