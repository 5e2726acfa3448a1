// SPDX-License-Identifier: MIT
#pragma once

// The one place with the version number: CMake and Meson read it from here.
#define MNV3_VERSION_MAJOR 0
#define MNV3_VERSION_MINOR 1
#define MNV3_VERSION_PATCH 0

// The headers that include all others include this one first, and nothing else below C++20: one
// error instead of hundreds.
#if __cplusplus < 202002L
#error "mnv3 needs C++20: compile with -std=c++20 (Meson: cpp_std=c++20), from g++ 12 or clang 14"
#endif
