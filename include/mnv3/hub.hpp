// SPDX-License-Identifier: MIT
#pragma once

// Published weights: Python's cache, and downloads into it. Not part of <mnv3/mnv3.hpp>:
// download.hpp needs libcurl (CMake's target mnv3::hub, Meson's dependency mnv3-hub); cache.hpp and
// locate.hpp do not. None of them needs LibTorch.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/hub/cache.hpp>
#include <mnv3/hub/download.hpp>
#include <mnv3/hub/locate.hpp>
#include <mnv3/hub/options.hpp>
#include <mnv3/hub/progress.hpp>
#endif
