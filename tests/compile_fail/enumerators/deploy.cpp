// SPDX-License-Identifier: MIT
// The modules, and what is deployed of them.
// needs: torch
// place: Activation nn/activation.hpp
// place: Activation nn/activation.hpp
// place: Activation engine/kernels/finish.hpp
// place: Gate nn/gate.hpp
// place: Gate nn/gate.hpp
// place: Gate engine/kernels/finish.hpp
// place: Pooling nn/pool.hpp
// place: Pooling nn/pool.hpp
// place: Pooling engine/kernels/pooling.hpp
// place: Pooling engine/kernels/pooling.hpp
// place: Norm nn/conv2d_norm_activation.hpp
// place: Norm nn/conv2d_norm_activation.hpp
// place: Norm engine/fold.hpp
// place: Norm config/settings.hpp
// place: Norm config/keys.hpp
// place: Padding config/conv2d_norm_activation.hpp
#include <mnv3/deploy.hpp>
