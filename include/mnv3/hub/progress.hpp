// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <unistd.h>

#include <fmt/format.h>

namespace mnv3::hub {

/// Called many times a second while a file is downloaded, by the thread that downloads it: bytes
/// that are there now, and how many there will be, if the server has said so. Returns false to
/// cancel. What it throws ends the download, too, and reaches whoever has called `download`.
using Progress = std::function<bool(std::uint64_t now, std::optional<std::uint64_t> total)>;

/// Shows one line on a terminal, at most ten times a second; nothing where `out` is none.
///
///     mnv3::hub::download(weights, {.progress = mnv3::hub::progress_line("MobileNetV3")});
inline Progress progress_line(std::string name, std::FILE* out = stderr) {
  using Clock = std::chrono::steady_clock;
  if (::isatty(::fileno(out)) == 0) return {};
  struct State {
    std::optional<Clock::time_point> shown;
    bool ended = false;
  };
  return [name = std::move(name), out, state = std::make_shared<State>()](
             std::uint64_t now, std::optional<std::uint64_t> total) {
    const bool ends = total == now;
    const Clock::time_point time = Clock::now();
    const bool recently = state->shown && time - *state->shown < std::chrono::milliseconds(100);
    if (state->ended || (recently && !ends)) return true;
    state->shown = time;
    state->ended = ends;
    constexpr double mega = 1e6;
    const double done = static_cast<double>(now);
    std::string text = fmt::format("{}: {:.1f} MB", name, done / mega);
    if (total && *total > 0) {
      const double all = static_cast<double>(*total);
      text += fmt::format(" of {:.1f} MB, {:.0f} %", all / mega, 100 * done / all);
    }
    // "\033[K" clears what a longer line has left.
    fmt::print(out, "\r{}\033[K{}", text, ends ? "\n" : "");
    std::fflush(out);
    return true;
  };
}

}  // namespace mnv3::hub
