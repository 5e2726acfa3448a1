// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

#include <mnv3/engine/threads.hpp>

namespace mnv3 {

/// OpenMP's threads, as many as it would use itself if `count` is below 1. One where the code that
/// includes this is compiled without OpenMP (-fopenmp), and within a parallel region.
///
/// Static: other code of the same program may be compiled the other way.
[[maybe_unused]] static Threads openmp_threads([[maybe_unused]] int count = 0) {
#ifdef _OPENMP
  if (omp_in_parallel()) return {};
  return {.count = std::max(count > 0 ? count : omp_get_max_threads(), 1),
          .run = [](const void*, std::int64_t tasks, const engine::Task& task) {
#pragma omp parallel for schedule(static, 1) num_threads(static_cast <int>(tasks))
            for (std::int64_t t = 0; t < tasks; ++t) task(t);
          }};
#else
  return {};
#endif
}

}  // namespace mnv3
