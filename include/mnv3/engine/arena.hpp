// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace mnv3::engine {

/// Floats that begin at a cache line, uninitialised. Many of them lie in huge pages where the
/// system has some: the kernels pass through all weights at each call, and would wait for page
/// tables.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(std::int64_t count) : count_(count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
    const std::align_val_t alignment{bytes < huge_page ? cache_line : huge_page};
    data_ = {static_cast<float*>(::operator new(bytes, alignment)), Delete{alignment}};
#ifdef __linux__
    // Whole pages only, so that no one else's memory is meant. Advice: it may be ignored.
    if (bytes >= huge_page) madvise(data_.get(), bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return data_ ? count_ : 0; }

 private:
  static constexpr std::size_t cache_line = 64;
  static constexpr std::size_t huge_page = 2 * 1024 * 1024;

  struct Delete {
    std::align_val_t alignment{cache_line};
    void operator()(float* data) const { ::operator delete(data, alignment); }
  };
  std::unique_ptr<float[], Delete> data_{nullptr, Delete{}};
  std::int64_t count_ = 0;
};

/// The memory in which networks run, one for each thread that calls them; or null.
///
/// A pointer, because nothing destroys it: at the end of a thread or the program there may be calls
/// from the destructors of others.
inline AlignedFloats*& arena_of_this_thread() {
  thread_local AlignedFloats* arena = nullptr;
  return arena;
}

/// Room for one call, which the thread keeps for the next one. A call within a call, from a pool
/// that does other work while it waits, gets room of its own.
class ArenaLease {
 public:
  explicit ArenaLease(std::int64_t count) : arena_(std::exchange(arena_of_this_thread(), nullptr)) {
    struct AtThreadEnd {
      ~AtThreadEnd() { delete std::exchange(arena_of_this_thread(), nullptr); }
    };
    thread_local const AtThreadEnd at_thread_end;
    static_cast<void>(at_thread_end);
    if (!arena_ || arena_->size() < count) {
      arena_.reset();  // first: never both
      arena_ = std::make_unique<AlignedFloats>(count);
    }
  }
  ArenaLease(const ArenaLease&) = delete;
  ArenaLease& operator=(const ArenaLease&) = delete;
  ~ArenaLease() {
    AlignedFloats*& kept = arena_of_this_thread();
    if (kept && kept->size() >= arena_->size()) return;
    delete kept;
    kept = arena_.release();
  }

  float* data() { return arena_->data(); }

 private:
  std::unique_ptr<AlignedFloats> arena_;
};

}  // namespace mnv3::engine
