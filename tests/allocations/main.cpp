// SPDX-License-Identifier: MIT
// A deployed network allocates its outputs and nothing else. Counted is what any thread asks of the
// C library, which operator new and LibTorch's allocator do: our functions stand in front of
// glibc's.

#include <atomic>
#include <cerrno>
#include <cstddef>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <mnv3/mnv3.hpp>

namespace {

std::atomic<int> allocations{0};

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* block, std::size_t size) noexcept {
  ++allocations;
  return __libc_realloc(block, size);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
  *block = memalign(alignment, size);
  return *block ? 0 : ENOMEM;
}
}

namespace {

template <class Function>
int allocations_of(const Function& function) {
  const int before = allocations;
  function();
  return allocations - before;
}

using Taps = mnv3::taps<mnv3::after<1>, mnv3::expansion<4>, mnv3::after<12>, mnv3::logits>;

/// Whether a call asks for no more than what makes tensors like its results.
bool check(const mnv3::Deployed<mnv3::SmallArch, Taps>& fast, const torch::Tensor& x) {
  const auto call = [&] { return fast(x); };
  const auto outputs = call();  // the first one also brings the arena and wakes the threads
  const int ours = allocations_of(call);
  const int least = allocations_of([&] {
    const torch::Tensor pictures = x.dim() == 5 ? x.flatten(0, 1) : x;
    for (const torch::Tensor& output : outputs) {
      const bool spatial = output.dim() == x.dim();
      const auto options = output.options();
      const torch::Tensor like =
          spatial
              ? torch::empty({pictures.size(0), output.size(-3), output.size(-2), output.size(-1)},
                             options, pictures.suggest_memory_format())
              : torch::empty({pictures.size(0), output.size(-1)}, options);
      if (x.dim() == 5) mnv3::nn::unflatten_sequence(like, x);
    }
  });
  const bool good = least >= static_cast<int>(outputs.size()) && ours <= least;
  fmt::print("{} {}, {} threads: {} allocations, {} for tensors like the outputs\n",
             good ? "ok    " : "FAILED", x.sizes(), at::get_num_threads(), ours, least);
  return good;
}

}  // namespace

int main() {
  const auto fast = mnv3::deploy(mnv3::MobileNetV3<mnv3::SmallArch, Taps>());
  bool good = true;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (const int batch : {1, 4}) {
      const torch::Tensor x = torch::rand({batch, 3, 61, 75});
      good = check(fast, x) && good;
      good = check(fast, x.contiguous(torch::MemoryFormat::ChannelsLast)) && good;
      good = check(fast, x.transpose(2, 3)) && good;
      good = check(fast, x.unsqueeze(0)) && good;
    }
  }
  return !good;
}
