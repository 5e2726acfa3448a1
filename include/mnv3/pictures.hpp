// SPDX-License-Identifier: MIT
#pragma once

// Picture files without LibTorch: decoding, resizing, frames for an engine, the best classes. Needs
// libpng and libjpeg (CMake's target mnv3::pictures, Meson's dependency mnv3-pictures).

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/vision/frame.hpp>
#include <mnv3/vision/image.hpp>
#include <mnv3/vision/image_file.hpp>
#include <mnv3/vision/resize.hpp>
#include <mnv3/vision/top_k.hpp>
#endif
