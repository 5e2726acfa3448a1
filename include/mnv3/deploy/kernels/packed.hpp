// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/deploy/kernels/layout.hpp>

// All weights of a network in one array of floats, as the kernels read them.

namespace mnv3::detail {

/// One product's weights, [out / 16][depth][16], and its bias, [out / 16][16].
struct Matrix {
  const float* values;
  const float* bias;
  int out;
  int depth;  ///< Input channels; for depthwise convolutions and the stem, of the whole window.
};

/// Where a matrix is in the array of weights.
struct MatrixPlace {
  std::int64_t values = 0;
  std::int64_t bias = 0;
  int out = 0;
  int depth = 0;

  constexpr Matrix in(const float* weights) const {
    return {weights + values, weights + bias, out, depth};
  }
};

/// The matrices of one feature; of the stem and the closing convolution only `projection`.
struct FeaturePlaces {
  MatrixPlace expansion;
  MatrixPlace depthwise;
  MatrixPlace squeeze;
  MatrixPlace excite;
  MatrixPlace projection;
};

/// Calls `visit(layer, part, out, depth)` for every matrix of the layers up to `reach`, in running
/// order. `part` is 1 for the second matrix of squeeze-and-excitation, otherwise 0.
template <class Visit>
constexpr void for_each_matrix(const Definition& net, int reach, Visit visit) {
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.position > reach) return;
    const Conv2dNormActivationConfig& c = layer.conv;
    visit(layer, 0, c.out_channels, c.in_channels / c.groups * c.kernel * c.kernel);
    if (layer.kind == Layer::Kind::squeeze_excitation)
      visit(layer, 1, c.in_channels, c.out_channels);
  });
}

/// Places of all matrices of a network with `Features` features.
template <std::size_t Features>
struct PackedPlaces {
  std::array<FeaturePlaces, Features> features{};
  MatrixPlace embedding;
  MatrixPlace logits;
  std::int64_t size = 0;  ///< Floats in all.
};

template <std::size_t Features>
constexpr PackedPlaces<Features> packed_places(const Definition& net, int reach) {
  PackedPlaces<Features> places;
  for_each_matrix(net, reach, [&](const Layer& layer, int part, int out, int depth) {
    MatrixPlace place{.out = out, .depth = depth};
    place.values = places.size;
    place.bias = place.values + floats_of(out, depth);
    places.size = place.bias + floats_of(out, 1);
    if (layer.position == position_of_embedding(net)) {
      places.embedding = place;
    } else if (layer.position == position_of_logits(net)) {
      places.logits = place;
    } else {
      FeaturePlaces& feature = places.features[static_cast<std::size_t>(layer.position / 2)];
      if (layer.kind == Layer::Kind::squeeze_excitation)
        (part == 0 ? feature.squeeze : feature.excite) = place;
      else if (layer.position % 2 == 0)
        feature.expansion = place;
      else if (is_block(net, layer.position / 2) && feature.depthwise.out == 0)
        feature.depthwise = place;  // the first of two at the same position
      else
        feature.projection = place;
    }
  });
  return places;
}

/// Writes one matrix, given row by row, to its place.
inline void pack(const MatrixPlace& place, std::span<const double> values,
                 std::span<const double> bias, std::span<float> weights) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  std::fill_n(weights.begin() + place.values,
              floats_of(place.out, place.depth) + floats_of(place.out, 1), 0.0F);
  for (std::int64_t o = 0; o < place.out; ++o) {
    const std::int64_t block = o / block_lanes;
    const std::int64_t lane = o % block_lanes;
    for (std::int64_t k = 0; k < place.depth; ++k)
      weights[at(place.values + (block * place.depth + k) * block_lanes + lane)] =
          static_cast<float>(values[at(o * place.depth + k)]);
    weights[at(place.bias + o)] = static_cast<float>(bias[at(o)]);
  }
}

}  // namespace mnv3::detail
