// SPDX-License-Identifier: MIT
// What a network is: eps and tensors of a norm; zeros.
// place: Norm config/settings.hpp
// place: Norm config/keys.hpp
// place: Padding config/conv2d_norm_activation.hpp
#include <mnv3/config.hpp>
