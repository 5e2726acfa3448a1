// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>

namespace mnv3 {

namespace engine {

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

}  // namespace engine

/// Who does the work: `run(context, n, task)` calls task(0) ... task(n - 1), perhaps at the same
/// time, and returns when all are done. By default the thread that calls does it all.
///
/// Results are the same bits for any number of threads.
struct Threads {
  std::int64_t count = 1;  ///< Into how many parts work is divided; at least 1.
  void (*run)(const void* context, std::int64_t tasks, const engine::Task& task) = nullptr;
  const void* context = nullptr;

  /// Those of a pool: `pool(n, task)` calls task(0) ... task(n - 1) and returns when all are done.
  /// The pool must outlive the calls.
  template <class Pool>
  requires std::invocable<const Pool&, std::int64_t, const engine::Task&>
  static Threads of(const Pool& pool, std::int64_t count) {
    return {.count = count,
            .run = [](const void* of, std::int64_t tasks,
                      const engine::Task& task) { (*static_cast<const Pool*>(of))(tasks, task); },
            .context = &pool};
  }
  template <class Pool>
  static Threads of(const Pool&& pool, std::int64_t count) = delete;  // it would be gone

  template <class Function>
  void operator()(std::int64_t tasks, const Function& function) const {
    if (tasks == 1 || !run)
      for (std::int64_t t = 0; t < tasks; ++t) function(t);
    else
      run(context, tasks, engine::Task(function));
  }
};

}  // namespace mnv3
