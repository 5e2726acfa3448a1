// SPDX-License-Identifier: MIT
#pragma once

namespace mnv3 {

/// One of a picture's two directions.
enum class Axis { height, width };

}  // namespace mnv3
