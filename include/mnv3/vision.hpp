// SPDX-License-Identifier: MIT
#pragma once

// Pictures for classifiers. Not part of <mnv3/mnv3.hpp>: image_file.hpp needs libpng and libjpeg
// (CMake's target mnv3::vision, Meson's dependency mnv3-vision); the others do not.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/pictures.hpp>
#include <mnv3/vision/preprocess.hpp>
#include <mnv3/vision/tensor_top_k.hpp>
#endif
