// SPDX-License-Identifier: MIT
#pragma once

// How code is compiled for instructions that the program's own flags do not have: templates keep
// the target of the place where they are written, whatever uses them.

#define MNV3_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
/// What follows is compiled for `features`, a string as the compiler's `target` attribute takes it.
#define MNV3_BEGIN_TARGET(features) \
  MNV3_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define MNV3_END_TARGET MNV3_PRAGMA(clang attribute pop)
/// What follows keeps its loads where they are written. GCC would otherwise move them ahead of the
/// products before it assigns registers, and spill what a tile that fills them all has summed.
#define MNV3_BEGIN_UNSCHEDULED
#define MNV3_END_UNSCHEDULED
#else
#define MNV3_BEGIN_TARGET(features) MNV3_PRAGMA(GCC push_options) MNV3_PRAGMA(GCC target(features))
#define MNV3_END_TARGET MNV3_PRAGMA(GCC pop_options)
#define MNV3_BEGIN_UNSCHEDULED \
  MNV3_PRAGMA(GCC push_options) MNV3_PRAGMA(GCC optimize("no-schedule-insns"))
#define MNV3_END_UNSCHEDULED MNV3_PRAGMA(GCC pop_options)
#endif

#define MNV3_INLINE [[gnu::always_inline]] inline
#define MNV3_INLINE_LAMBDA __attribute__((always_inline))
/// Hides where a pointer comes from: GCC would otherwise keep one address for each unrolled access,
/// and spill them.
#define MNV3_OPAQUE(pointer) asm("" : "+r"(pointer))
