// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>

#include <limits>
#endif

namespace mnv3::train {

/// Makes malloc keep what is freed, for the whole process and from now on. To be called once, first
/// thing in `main`, by programs that train on the CPU.
///
/// A training step frees all that it has allocated. As it comes, glibc gives large blocks back to
/// the system, and the next step gets them as pages that the system must fill with zeros first.
/// With this the process stays as large as it has been at its largest.
///
/// Returns whether it took effect: not without glibc, and not where another malloc (jemalloc's, a
/// sanitizer's) has taken the place of glibc's; nothing is changed then.
///
/// Source  glibc 2.36 malloc/malloc.c; mallopt(3).
inline bool keep_freed_memory() {
#if defined(__GLIBC__)
  // No block is a mapping of its own: those go back to the system when they are freed. A threshold
  // alone would not do, since glibc has none above 32 MiB, which activations exceed.
  if (mallopt(M_MMAP_MAX, 0) != 1) return false;
  // The top of the heap stays, too.
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  return true;
#else
  return false;
#endif
}

}  // namespace mnv3::train
