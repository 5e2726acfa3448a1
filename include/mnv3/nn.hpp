// SPDX-License-Identifier: MIT
#pragma once

// The network as torch::nn modules, and the tables it is made from.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/config.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/classifier.hpp>
#include <mnv3/nn/conv2d_norm_activation.hpp>
#include <mnv3/nn/convolve.hpp>
#include <mnv3/nn/drop_path.hpp>
#include <mnv3/nn/feature.hpp>
#include <mnv3/nn/features.hpp>
#include <mnv3/nn/frozen_batch_norm2d.hpp>
#include <mnv3/nn/gate.hpp>
#include <mnv3/nn/init.hpp>
#include <mnv3/nn/input.hpp>
#include <mnv3/nn/inverted_residual.hpp>
#include <mnv3/nn/memory_format.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/nn/own_block.hpp>
#include <mnv3/nn/pool.hpp>
#include <mnv3/nn/print.hpp>
#include <mnv3/nn/printed_module.hpp>
#include <mnv3/nn/recompute.hpp>
#include <mnv3/nn/requires_grad.hpp>
#include <mnv3/nn/squeeze_excitation.hpp>
#include <mnv3/nn/with_head.hpp>
#endif
