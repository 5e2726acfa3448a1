// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace mnv3::detail {

/// Floats that begin at a cache line, uninitialised.
class AlignedFloats {
 public:
  static constexpr std::align_val_t alignment{64};

  AlignedFloats() = default;
  explicit AlignedFloats(std::int64_t count)
      : data_(static_cast<float*>(
            ::operator new(static_cast<std::size_t>(count) * sizeof(float), alignment))),
        count_(count) {}

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return count_; }

 private:
  struct Delete {
    void operator()(float* data) const { ::operator delete(data, alignment); }
  };
  std::unique_ptr<float[], Delete> data_;
  std::int64_t count_ = 0;
};

/// The memory in which networks run, one for each thread that calls them.
inline AlignedFloats& arena_of_this_thread() {
  thread_local AlignedFloats arena;
  return arena;
}

/// Room for `count` floats, valid until this thread asks again.
inline float* use_arena(std::int64_t count) {
  AlignedFloats& arena = arena_of_this_thread();
  if (arena.size() < count) {
    arena = AlignedFloats();  // first: never both
    arena = AlignedFloats(count);
  }
  return arena.data();
}

}  // namespace mnv3::detail
