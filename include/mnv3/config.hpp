// SPDX-License-Identifier: MIT
#pragma once

// What a network is, without LibTorch: tables, rules, taps, state-dict names, costs.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/config/activation.hpp>
#include <mnv3/config/arch.hpp>
#include <mnv3/config/architectures.hpp>
#include <mnv3/config/axis.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/channel_values.hpp>
#include <mnv3/config/channels.hpp>
#include <mnv3/config/conv2d_norm_activation.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/costs.hpp>
#include <mnv3/config/declaration.hpp>
#include <mnv3/config/depth.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/dialects/d_li14.hpp>
#include <mnv3/config/dialects/mmlab.hpp>
#include <mnv3/config/dialects/mobilenet_v2.hpp>
#include <mnv3/config/dialects/ssdlite.hpp>
#include <mnv3/config/dialects/timm.hpp>
#include <mnv3/config/dialects/torchvision.hpp>
#include <mnv3/config/flow.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/input.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/known_networks.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/name.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/config/outputs.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/preset.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/config/ratio.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/config/setting.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/config/stage_set.hpp>
#include <mnv3/config/stages.hpp>
#include <mnv3/config/stride.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/config/timm.hpp>
#include <mnv3/config/transform.hpp>
#endif
