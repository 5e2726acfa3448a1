// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <ATen/Parallel.h>

#include <mnv3/deploy/kernels/threads.hpp>

namespace mnv3::detail {

/// LibTorch's own threads: as many as `at::get_num_threads()` says, one inside a parallel region.
/// The code that includes this must be compiled with OpenMP where LibTorch is, which our build
/// targets see to; otherwise everything runs on the calling thread.
inline Threads torch_threads() {
  const auto run = [](std::int64_t tasks, const Task& task) {
    at::parallel_for(0, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) task(t);
    });
  };
  return {.count = at::in_parallel_region() ? 1 : at::get_num_threads(), .run = run};
}

}  // namespace mnv3::detail
