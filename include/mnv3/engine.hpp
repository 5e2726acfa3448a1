// SPDX-License-Identifier: MIT
#pragma once

// A network in a program of its own: no LibTorch, no fmt.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/config.hpp>
#include <mnv3/engine/engine.hpp>
#include <mnv3/engine/frame.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/openmp_threads.hpp>
#include <mnv3/engine/output.hpp>
#include <mnv3/engine/threads.hpp>
#endif
