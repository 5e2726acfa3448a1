// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>
#include <ctime>

#include <pthread.h>

namespace mnv3::hub::detail {

/// While it lives, no SIGPIPE of this thread ends the program: OpenSSL writes to sockets with a
/// plain `write`, and libcurl's own remedy changes the whole process, which is not thread safe.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigemptyset(&pending);
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }

  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

  ~SigpipeBlocked() {
    const std::timespec now{};
    if (!was_pending_)
      while (::sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
      }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

}  // namespace mnv3::hub::detail
