// SPDX-License-Identifier: MIT
#pragma once

// Everything but <mnv3/vision.hpp>, which needs libraries for picture files. Programs that only
// need the tables include <mnv3/config.hpp>, which needs no LibTorch.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/config.hpp>
#include <mnv3/deploy.hpp>
#include <mnv3/nn.hpp>
#include <mnv3/weights.hpp>
#endif
