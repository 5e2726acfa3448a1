// SPDX-License-Identifier: MIT
// fma_peak THREADS: prints the most GFLOP/s that fused multiply-adds reach on so many threads, and
// with which vectors: the limit that every engine is held against.

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

// A multiply-add takes about four cycles, and a core may start two in each: 12 independent sums and
// more hide that, as long as they and the factors fit into the registers.

struct Kernel {
  const char* name;
  int flops_per_round;
  float (*run)(long rounds);
};

#if defined(__x86_64__)
[[gnu::target("avx512f")]] float run_avx512(long rounds) {
  __m512 sums[24];
  for (__m512& sum : sums) sum = _mm512_set1_ps(1.0F);
  const __m512 factor = _mm512_set1_ps(0.999F), summand = _mm512_set1_ps(0.001F);
  for (; rounds > 0; --rounds) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) sums[i] = _mm512_fmadd_ps(sums[i], factor, summand);
  }
  __m512 total = sums[0];
#pragma GCC unroll 24
  for (int i = 1; i < 24; ++i) total = _mm512_add_ps(total, sums[i]);
  return _mm512_cvtss_f32(total);
}

[[gnu::target("avx2,fma")]] float run_avx2(long rounds) {
  __m256 sums[12];
  for (__m256& sum : sums) sum = _mm256_set1_ps(1.0F);
  const __m256 factor = _mm256_set1_ps(0.999F), summand = _mm256_set1_ps(0.001F);
  for (; rounds > 0; --rounds) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, summand);
  }
  __m256 total = sums[0];
#pragma GCC unroll 12
  for (int i = 1; i < 12; ++i) total = _mm256_add_ps(total, sums[i]);
  return _mm256_cvtss_f32(total);
}
#endif

float run_portable(long rounds) {
  using Vector [[gnu::vector_size(16)]] = float;
  Vector sums[12];
  for (Vector& sum : sums) sum = Vector{} + 1.0F;
  const Vector factor = Vector{} + 0.999F, summand = Vector{} + 0.001F;
  for (; rounds > 0; --rounds) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sums[i] = sums[i] * factor + summand;
  }
  Vector total = sums[0];
#pragma GCC unroll 12
  for (int i = 1; i < 12; ++i) total += sums[i];
  return total[0];
}

std::vector<Kernel> kernels() {
  std::vector<Kernel> all{{"portable", 2 * 12 * 4, run_portable}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    all.push_back({"AVX2", 2 * 12 * 8, run_avx2});
  if (__builtin_cpu_supports("avx512f")) all.push_back({"AVX-512", 2 * 24 * 16, run_avx512});
#endif
  return all;
}

/// GFLOP/s of all threads together, from the first one's start to the last one's end.
double measure(const Kernel& kernel, int threads) {
  constexpr long rounds = 500'000;
  struct Span {
    Clock::time_point start, end;
  };
  std::vector<Span> spans(static_cast<std::size_t>(threads));
  std::barrier start_line(threads);
  std::vector<std::thread> workers;
  for (Span& span : spans) {
    workers.emplace_back([&] {
      start_line.arrive_and_wait();
      span.start = Clock::now();
      volatile float kept = kernel.run(rounds);
      static_cast<void>(kept);
      span.end = Clock::now();
    });
  }
  for (std::thread& worker : workers) worker.join();
  const std::chrono::duration<double> spent =
      std::ranges::max(spans, {}, &Span::end).end - std::ranges::min(spans, {}, &Span::start).start;
  return static_cast<double>(rounds) * kernel.flops_per_round * threads / spent.count() * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const char* best = "";
  double most = 0.0;
  for (const Kernel& kernel : kernels()) {
    for (int i = 0; i < 5; ++i) {
      const double now = measure(kernel, threads);
      if (now > most) {
        most = now;
        best = kernel.name;
      }
    }
  }
  std::printf("%.2f %s\n", most, best);
}
