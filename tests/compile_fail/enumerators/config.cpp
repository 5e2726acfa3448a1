// SPDX-License-Identifier: MIT
// What a network is: eps and tensors of a norm; names, and the shape that goes with them; zeros.
// place: Norm config/settings.hpp
// place: Norm config/keys.hpp
// place: Names config/names.hpp
// place: Padding config/conv2d_norm_activation.hpp
#include <mnv3/config.hpp>
