// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdlib>
#include <limits>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace mnv3::train {

namespace detail {

#if defined(__GLIBC__)
/// Whether `malloc` is glibc's, and not another one (jemalloc's, a sanitizer's) in its place.
inline bool is_glibc_malloc() {
#if __GLIBC_PREREQ(2, 33)
  const auto used = [] {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  constexpr std::size_t size = std::size_t{1} << 20;
  const std::size_t before = used();
  void* volatile block = std::malloc(size);
  const bool is_counted = used() >= before + size;
  std::free(block);
  return is_counted;
#else
  return true;
#endif
}
#endif

}  // namespace detail

/// Makes malloc keep what is freed, for the whole process and from now on. To be called once, first
/// thing in `main`, by programs that train on the CPU.
///
/// A training step frees all that it has allocated. As it comes, glibc gives large blocks back to
/// the system, and the next step gets them as pages that the system must fill with zeros first: for
/// Small at 224, in a batch of 64, 240,000 page faults a step and more than a third of its time.
/// With this it is a thousandth of them; the process stays as large as it has been at its largest,
/// which is 15 % more there, since blocks of other sizes leave gaps.
///
/// Returns whether it took effect: not without glibc, and not where another malloc has taken the
/// place of glibc's.
///
/// Source  glibc 2.36 malloc/malloc.c; mallopt(3).
inline bool keep_freed_memory() {
#if defined(__GLIBC__)
  if (!detail::is_glibc_malloc()) return false;
  // No block is a mapping of its own: those go back to the system when they are freed. A threshold
  // alone would not do, since glibc has none above 32 MiB, which activations exceed: in the batch
  // of 64 it leaves 14,000 page faults. Where the heap cannot grow, malloc still maps.
  if (mallopt(M_MMAP_MAX, 0) != 1) return false;
  // The top of the heap stays, too.
  return mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max()) == 1;
#else
  return false;
#endif
}

}  // namespace mnv3::train
