// SPDX-License-Identifier: MIT
#pragma once

// What the kernels of every instruction set use, which is compiled for the program's own.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/flow.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/engine/isa.hpp>
#include <mnv3/engine/kernels/bfloat16.hpp>
#include <mnv3/engine/kernels/classifier_job.hpp>
#include <mnv3/engine/kernels/finish.hpp>
#include <mnv3/engine/kernels/layout.hpp>
#include <mnv3/engine/kernels/network_layout.hpp>
#include <mnv3/engine/kernels/packed.hpp>
#include <mnv3/engine/kernels/picture_job.hpp>
#include <mnv3/engine/kernels/plan.hpp>
#include <mnv3/engine/kernels/pooling.hpp>
#include <mnv3/engine/kernels/registers/register_type.hpp>
#include <mnv3/engine/kernels/split.hpp>
#include <mnv3/engine/kernels/unblock.hpp>
#include <mnv3/engine/threads.hpp>
#include <mnv3/engine/views.hpp>
