// SPDX-License-Identifier: MIT
#pragma once

// What people put on a backbone's features.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/heads/boxes.hpp>
#include <mnv3/heads/conv_gru.hpp>
#include <mnv3/heads/deeplabv3.hpp>
#include <mnv3/heads/deployed_matting.hpp>
#include <mnv3/heads/deployed_segmentation.hpp>
#include <mnv3/heads/feature_backbone.hpp>
#include <mnv3/heads/fpn.hpp>
#include <mnv3/heads/frames.hpp>
#include <mnv3/heads/guided_filter.hpp>
#include <mnv3/heads/lraspp.hpp>
#include <mnv3/heads/packed_decoder.hpp>
#include <mnv3/heads/recurrent_decoder.hpp>
#include <mnv3/heads/robust_video_matting.hpp>
#include <mnv3/heads/segmentation.hpp>
#include <mnv3/heads/ssdlite.hpp>
#include <mnv3/heads/stretched_matte.hpp>
#endif
