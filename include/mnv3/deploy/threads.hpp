// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <ATen/Config.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <mnv3/engine/threads.hpp>

namespace mnv3::deployment {

/// LibTorch's own threads: as many as `at::get_num_threads()` says, one inside a parallel region.
/// The code that includes this must be compiled with OpenMP where LibTorch is, which our build
/// targets see to; otherwise everything runs on the calling thread, and a warning says so once.
inline Threads torch_threads() {
  const auto run = [](const void*, std::int64_t tasks, const engine::Task& task) {
    at::parallel_for(0, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) task(t);
    });
  };
  const int count = at::in_parallel_region() ? 1 : at::get_num_threads();
#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
  if (count > 1) {
    TORCH_WARN_ONCE("mnv3: a deployed network runs on one thread instead of ", count,
                    ", because the code that includes <mnv3/deploy.hpp> is compiled without "
                    "OpenMP: compile and link it with -fopenmp");
  }
#endif
  return {.count = count, .run = run};
}

}  // namespace mnv3::deployment
