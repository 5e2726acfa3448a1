// SPDX-License-Identifier: MIT
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace mnv3::train {

namespace detail {

/// "0:07", "12:34" or "1:02:03".
inline std::string clock_text(double seconds) {
  const long s = std::lround(std::clamp(seconds, 0.0, 1e7));
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

/// One line of at most `width` characters: label, bar, per cent, rate, time left. On a narrow
/// terminal the bar goes first.
inline std::string bar_line(std::string_view label, double fraction, double images_per_second,
                            double seconds_left, int width) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  const std::string left = fmt::format("{}  ", label);
  const std::string right =
      fmt::format("{:3.0f} %  {:.0f} images/s  {} left", std::floor(100 * fraction),
                  images_per_second, clock_text(seconds_left));
  constexpr int shortest_bar = 8;
  constexpr int longest_bar = 40;
  const int room = width - static_cast<int>(left.size() + right.size()) - 4;  // "[", "]", 2 blanks
  std::string line = left;
  if (room >= shortest_bar) {
    const int length = std::min(room, longest_bar);
    const int full = static_cast<int>(fraction * length);
    line += fmt::format("[{}{}]  ", std::string(static_cast<std::size_t>(full), '='),
                        std::string(static_cast<std::size_t>(length - full), ' '));
  }
  line += right;
  return line.substr(0, static_cast<std::size_t>(std::max(width, 0)));
}

}  // namespace detail

/// A line that is drawn over and over at the bottom of the terminal. Writes nothing at all when
/// standard error is no terminal.
class ProgressBar {
 public:
  /// @param total  The number of steps of the whole work.
  explicit ProgressBar(std::int64_t total, bool enabled = true)
      : total_(total), enabled_(enabled && ::isatty(STDERR_FILENO) == 1) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Redraws the line, at most ten times a second.
  ///
  /// @param done    How many steps of the whole work are done.
  /// @param images  How many pictures this step had.
  void update(std::int64_t done, std::int64_t images, std::string_view label) {
    if (!enabled_) return;
    const auto now = Clock::now();
    if (!running_) {
      running_ = true;
      last_ = now;
      last_done_ = done;
      return;
    }
    images_ += images;
    const double elapsed = std::chrono::duration<double>(now - last_).count();
    if (elapsed < 0.1) return;
    smooth(steps_per_second_, static_cast<double>(done - last_done_) / elapsed);
    smooth(images_per_second_, static_cast<double>(images_) / elapsed);
    last_ = now;
    last_done_ = done;
    images_ = 0;
    if (steps_per_second_ <= 0) return;
    const double fraction = static_cast<double>(done) / static_cast<double>(total_);
    const double seconds_left = static_cast<double>(total_ - done) / steps_per_second_;
    // One column stays free: some terminals wrap when the last one is written.
    fmt::print(stderr, "\r{}{}",
               detail::bar_line(label, fraction, images_per_second_, seconds_left, width() - 1),
               erase_rest);
    std::fflush(stderr);
    drawn_ = true;
  }

  /// Takes the line away, so that other text can be printed. The next `update` begins anew; the
  /// time between does not count as work.
  void clear() noexcept {
    running_ = false;
    images_ = 0;
    if (!drawn_) return;
    drawn_ = false;
    std::fputs("\r", stderr);
    std::fputs(erase_rest, stderr);
    std::fflush(stderr);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr const char* erase_rest = "\x1b[K";  // ECMA-48 EL

  static void smooth(double& value, double current) {
    value = value > 0 ? 0.95 * value + 0.05 * current : current;
  }

  /// Columns of the terminal, asked anew each time: the user may have resized it.
  static int width() {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
  }

  std::int64_t total_;
  bool enabled_;
  bool running_ = false;
  bool drawn_ = false;
  Clock::time_point last_{};
  std::int64_t last_done_ = 0;
  std::int64_t images_ = 0;
  double steps_per_second_ = 0;   // smoothed
  double images_per_second_ = 0;  // smoothed
};

}  // namespace mnv3::train
