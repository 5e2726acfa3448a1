// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

// How the kernels keep numbers: activations as [channels / 16][pixels][16], weights as
// [out / 16][in][16], all of it float. Blocks are aligned, a pixel is one cache line, and every
// instruction set reads the same weights. With bfloat16 a pixel is half a cache line, and weights
// that multiply activations are [out / 16][in / 2][16][2].

namespace mnv3::engine {

/// Channels in one block: the widest vector.
inline constexpr int block_lanes = 16;
/// Channels are computed in multiples of this; a network's own are, by torchvision's width rule.
inline constexpr int half_lanes = 8;

/// Channels of a dense convolution's input that follow each other in memory: those that are joined
/// are padded to a multiple of this.
inline constexpr int group_lanes = 4;

constexpr int blocks_of(int channels) { return (channels + block_lanes - 1) / block_lanes; }

/// Lanes of the last block and all before it that are computed at all.
constexpr int lanes_of(int channels) {
  return (channels + half_lanes - 1) / half_lanes * half_lanes;
}

/// Floats that `pixels` pixels of `channels` channels take.
constexpr std::int64_t floats_of(int channels, std::int64_t pixels) {
  return std::int64_t{blocks_of(channels)} * block_lanes * pixels;
}

/// Floats whose memory takes as many pixels kept as `Element`, in whole cache lines.
template <class Element>
constexpr std::int64_t floats_for(int channels, std::int64_t pixels) {
  constexpr std::int64_t in_float = sizeof(float) / sizeof(Element);
  return (floats_of(channels, pixels) / in_float + block_lanes - 1) / block_lanes * block_lanes;
}

/// Height and width.
struct Extent {
  std::int64_t height;
  std::int64_t width;

  constexpr std::int64_t pixels() const { return height * width; }
  friend constexpr bool operator==(const Extent&, const Extent&) = default;
};

}  // namespace mnv3::engine
