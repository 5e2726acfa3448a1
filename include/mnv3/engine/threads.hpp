// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace mnv3::engine {

/// A function of a task's number, by reference.
class Task {
 public:
  template <class Function>
  explicit Task(const Function& function)
      : function_(&function),
        call_([](const void* f, std::int64_t task) { (*static_cast<const Function*>(f))(task); }) {}
  void operator()(std::int64_t number) const { call_(function_, number); }

 private:
  const void* function_;
  void (*call_)(const void*, std::int64_t);
};

/// How work is spread: `run(n, task)` calls task(0) ... task(n - 1), perhaps at the same time.
struct Threads {
  std::int64_t count = 1;
  void (*run)(std::int64_t, const Task&) = nullptr;

  template <class Function>
  void operator()(std::int64_t tasks, const Function& function) const {
    if (tasks == 1)
      function(std::int64_t{0});
    else
      run(tasks, Task(function));
  }
};

/// Multiplications from which a product of one pixel is worth asking other threads.
inline constexpr std::int64_t parallel_from = 1 << 17;

}  // namespace mnv3::engine
