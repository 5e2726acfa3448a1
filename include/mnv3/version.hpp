// SPDX-License-Identifier: MIT
#pragma once

// The one place with the version number: CMake and Meson read it from here.
#define MNV3_VERSION_MAJOR 0
#define MNV3_VERSION_MINOR 1
#define MNV3_VERSION_PATCH 0
