// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/deploy/kernels/finish.hpp>
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
  /// The bias comes behind the values, then the next matrix.
  constexpr std::int64_t end() const { return bias + floats_of(out, 1); }
};

/// The matrices of one feature; of the stem and the closing convolution only `projection`.
struct FeaturePlaces {
  MatrixPlace expansion;
  MatrixPlace depthwise;
  MatrixPlace squeeze;
  MatrixPlace excite;
  MatrixPlace projection;
};

/// One product of a layer.
struct LayerMatrix {
  Layer layer;
  int part;  ///< 1 for the second matrix of squeeze-and-excitation, otherwise 0.
  int out;
  int depth;
  double scale;  ///< What its values are multiplied by when they are packed.
};

/// Calls `visit(const LayerMatrix&)` for every matrix that a network with these taps needs, in
/// running order.
template <class Visit>
constexpr void for_each_matrix(const Definition& net, std::span<const TapInfo> taps, Visit visit) {
  Finish before = Finish::linear;  // of what the next layer reads
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.position > taps.back().position) return;
    const Conv2dNormActivationConfig& c = layer.conv;
    const int feature = layer.position / 2;
    const int depth = c.in_channels / c.groups * c.kernel * c.kernel;
    visit(LayerMatrix{layer, 0, c.out_channels, depth, scale_after(before)});
    if (layer.kind == Layer::Kind::squeeze_excitation) {
      visit(LayerMatrix{layer, 1, c.in_channels, c.out_channels, 1.0});
    } else if (layer.position == position_of_embedding(net)) {
      before = embedding_finish(net, taps);
    } else if (layer.position == position_after(feature_count(net) - 1)) {
      before = closing_finish(net, taps);
    } else if (!c.activation || feature == 0) {
      before = Finish::linear;  // or finished entirely
    } else if (layer.position == position_of_expansion(feature)) {
      before = expansion_finish(net, taps, feature);
    } else {
      before = depthwise_finish(row_of(net, feature));
    }
  });
}

constexpr MatrixPlace place_at(std::int64_t start, const LayerMatrix& matrix) {
  return {.values = start,
          .bias = start + floats_of(matrix.out, matrix.depth),
          .out = matrix.out,
          .depth = matrix.depth};
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
constexpr PackedPlaces<Features> packed_places(const Definition& net,
                                               std::span<const TapInfo> taps) {
  PackedPlaces<Features> places;
  for_each_matrix(net, taps, [&](const LayerMatrix& matrix) {
    const Layer& layer = matrix.layer;
    const MatrixPlace place = place_at(places.size, matrix);
    places.size = place.end();
    if (layer.position == position_of_embedding(net)) {
      places.embedding = place;
    } else if (layer.position == position_of_logits(net)) {
      places.logits = place;
    } else {
      FeaturePlaces& feature = places.features[static_cast<std::size_t>(layer.position / 2)];
      if (layer.kind == Layer::Kind::squeeze_excitation)
        (matrix.part == 0 ? feature.squeeze : feature.excite) = place;
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
inline void pack(const MatrixPlace& place, double scale, std::span<const double> values,
                 std::span<const double> bias, std::span<float> weights) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  std::fill(weights.begin() + place.values, weights.begin() + place.end(), 0.0F);
  for (std::int64_t o = 0; o < place.out; ++o) {
    const std::int64_t block = o / block_lanes;
    const std::int64_t lane = o % block_lanes;
    for (std::int64_t k = 0; k < place.depth; ++k)
      weights[at(place.values + (block * place.depth + k) * block_lanes + lane)] =
          static_cast<float>(values[at(o * place.depth + k)] * scale);
    weights[at(place.bias + o)] = static_cast<float>(bias[at(o)]);
  }
}

}  // namespace mnv3::detail
