// SPDX-License-Identifier: MIT
#pragma once

// Inference: batch norm folded, weights packed, kernels generated from the table.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/deploy/deployed.hpp>
#include <mnv3/deploy/deployed_with_head.hpp>
#include <mnv3/engine/isa.hpp>
#endif
