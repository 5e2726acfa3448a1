// SPDX-License-Identifier: MIT
// What the kernels do with a sum before it is stored, and with the pixels that they pool.
// place: Activation engine/kernels/finish.hpp
// place: Gate engine/kernels/finish.hpp
// place: Pooling engine/kernels/pooling.hpp
// place: Pooling engine/kernels/pooling.hpp
// place: Norm config/settings.hpp
// place: Padding config/conv2d_norm_activation.hpp
#include <mnv3/engine/kernels/batch.hpp>
