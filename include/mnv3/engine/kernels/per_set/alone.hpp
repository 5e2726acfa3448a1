// SPDX-License-Identifier: MIT
#pragma once

// What the files of this folder use, for `portable`: so that each can be read, and compiled, alone.

#define MNV3_ALONE
#include <mnv3/engine/kernels/sets/portable.hpp>
