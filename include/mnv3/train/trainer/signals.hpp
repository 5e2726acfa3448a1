// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <mutex>

namespace mnv3::train {

namespace detail {

/// What the handler has seen: no signal, SIGINT or SIGTERM.
inline std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "what a handler may touch");

extern "C" {
/// The first signal is noted. The second ends the program as if nobody had handled it.
inline void mnv3_train_note_signal(int signal) {
  int none = 0;
  if (received_signal.compare_exchange_strong(none, signal)) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // blocked until this function returns
}
}

}  // namespace detail

/// While one of these lives, the first SIGINT or SIGTERM is only noted, and the second ends the
/// program at once. The handlers from before come back with the last one's end. A signal that was
/// ignored (by `nohup`, say) stays ignored.
/// Source  POSIX.1-2017, 2.4.3: `signal` and `raise` may be called in a handler.
class SignalGuard {
 public:
  explicit SignalGuard(bool enabled = true) : enabled_(enabled) {
    if (!enabled_) return;
    const std::lock_guard lock(mutex);
    if (alive++ > 0) return;
    detail::received_signal = 0;
    struct sigaction noting {};
    noting.sa_handler = detail::mnv3_train_note_signal;
    noting.sa_flags = SA_RESTART;  // reads and writes in other threads go on
    sigemptyset(&noting.sa_mask);
    for (std::size_t i = 0; i < signals.size(); ++i) {
      ::sigaction(signals[i], nullptr, &before[i]);
      if (before[i].sa_handler != SIG_IGN) ::sigaction(signals[i], &noting, nullptr);
    }
  }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  ~SignalGuard() {
    if (!enabled_) return;
    const std::lock_guard lock(mutex);
    if (--alive > 0) return;
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before[i], nullptr);
  }

  /// The signal that came while it lived; 0 if none did.
  int received() const { return enabled_ ? detail::received_signal.load() : 0; }

 private:
  static constexpr std::array signals{SIGINT, SIGTERM};
  static inline std::mutex mutex;
  static inline int alive = 0;
  static inline std::array<struct sigaction, signals.size()> before{};

  bool enabled_;
};

}  // namespace mnv3::train
