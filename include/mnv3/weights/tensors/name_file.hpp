// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string_view>

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

[[noreturn]] inline void fail_on_file(std::string_view verb, const std::filesystem::path& path,
                                      std::string_view what) {
  what = what.substr(0, what.find('\n'));  // what LibTorch adds below is for its developers
  throw WeightsError(fmt::format("mnv3: cannot {} {}: {}", verb, path.string(), what));
}

/// Runs `action`. Its errors, LibTorch's too, become WeightsErrors that name the file.
template <class Action>
auto name_file_in_errors(std::string_view verb, const std::filesystem::path& path, Action action) {
  try {
    return action();
  } catch (const WeightsError& error) {
    fail_on_file(verb, path, error.what());
  } catch (const c10::Error& error) {
    fail_on_file(verb, path, error.what_without_backtrace());
  }
}

}  // namespace mnv3::weights
