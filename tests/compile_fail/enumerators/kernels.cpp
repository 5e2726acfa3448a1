// SPDX-License-Identifier: MIT
// What the kernels do with a sum before it is stored, and with the pixels that they pool.
// place: Activation deploy/kernels/finish.hpp
// place: Gate deploy/kernels/finish.hpp
// place: Pooling deploy/kernels/pooling.hpp
// place: Pooling deploy/kernels/pooling.hpp
// place: Norm config/settings.hpp
// place: Padding config/conv2d_norm_activation.hpp
#include <mnv3/deploy/kernels/batch.hpp>
