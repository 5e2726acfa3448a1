// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <sys/mman.h>

#include <torch/types.h>

namespace mnv3::weights {

/// One block of memory for many tensors that live for a moment. New memory costs the kernel a page
/// fault for every 4 KiB, more than reading a file does: the block asks for pages of 2 MiB. (22 MB
/// in 312 tensors take 10.5 ms by LibTorch's allocator and 4.1 ms in one block, on one core of an
/// AMD EPYC, 2026-11.)
class Arena {
 public:
  /// For tensors of so many bytes in all, each rounded up to `alignment`.
  explicit Arena(std::size_t bytes) : left_(bytes) {
    if (bytes == 0) return;
    const std::size_t size = bytes + page;
    void* const block =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {  // then LibTorch may say so
      left_ = 0;
      return;
    }
    block_ = std::shared_ptr<void>(block, [size](void* begin) { ::munmap(begin, size); });
    const std::size_t over = reinterpret_cast<std::uintptr_t>(block) % page;
    next_ = static_cast<unsigned char*>(block) + (over == 0 ? 0 : page - over);
#ifdef MADV_HUGEPAGE
    static_cast<void>(::madvise(next_, bytes, MADV_HUGEPAGE));  // where the kernel likes to
#endif
  }

  static constexpr std::size_t alignment = 64;  // as LibTorch's own
  static constexpr std::size_t rounded(std::size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
  }

  /// A tensor on the CPU that spans `bytes` bytes, in the block while there is room.
  torch::Tensor empty(at::IntArrayRef shape, at::IntArrayRef strides, torch::Dtype dtype,
                      std::size_t bytes) {
    if (bytes == 0 || rounded(bytes) > left_)
      return at::empty_strided(shape, strides, at::dtype(dtype));
    unsigned char* const begin = next_;
    next_ += rounded(bytes);
    left_ -= rounded(bytes);
    return torch::from_blob(
        begin, shape, strides, [block = block_](void*) {}, dtype);
  }

 private:
  static constexpr std::size_t page = std::size_t{1} << 21;

  std::shared_ptr<void> block_;
  unsigned char* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace mnv3::weights
