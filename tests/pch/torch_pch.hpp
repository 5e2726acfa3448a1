// SPDX-License-Identifier: MIT
#pragma once

// What all our programs parse before their own code. Precompiled.
#include <torch/torch.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
