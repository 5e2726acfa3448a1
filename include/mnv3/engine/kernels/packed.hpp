// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/engine/kernels/bfloat16.hpp>
#include <mnv3/engine/kernels/folded_product.hpp>
#include <mnv3/engine/kernels/layout.hpp>

// All weights of a network in one array, as the kernels read them: floats, or pairs of bfloat16 in
// the place of each.

namespace mnv3::engine {

/// One product's weights, [out / 16][depth][16] or pairs, [out / 16][(depth + 1) / 2][16], and what
/// makes an output of a sum of products: (start + sum) * scale + shift, each [out / 16][16].
///
/// Batch norm is in those three; multiplied into the weights it would round each of them, and where
/// the sums' means are large that costs more digits than all the arithmetic.
struct Matrix {
  const float* values;
  const float* start;
  const float* scale;
  const float* shift;
  int out;
  int depth;  ///< Input channels; for depthwise convolutions and the stem, of the whole window.
};

/// Where a matrix is in the array of weights.
struct MatrixPlace {
  std::int64_t values = 0;
  int out = 0;
  int depth = 0;
  bool paired = false;
  int interleaved = 1;  ///< Channels of the stem's window, which follow each other in each pixel.

  /// What each output sums products with.
  constexpr int factors() const { return paired ? (depth + 1) / 2 : depth; }
  // In this order, then the next matrix.
  constexpr std::int64_t start() const { return values + floats_of(out, factors()); }
  constexpr std::int64_t scale() const { return start() + floats_of(out, 1); }
  constexpr std::int64_t shift() const { return scale() + floats_of(out, 1); }
  constexpr std::int64_t end() const { return shift() + floats_of(out, 1); }

  /// Where a checkpoint, which has one channel of the window after the other, has a factor.
  constexpr std::int64_t source_of(std::int64_t factor) const {
    return factor % interleaved * (depth / interleaved) + factor / interleaved;
  }

  constexpr Matrix in(const float* weights) const {
    return {weights + values, weights + start(), weights + scale(), weights + shift(), out, depth};
  }
};

/// The matrices of one feature; of the stem and the closing convolutions only `projection`.
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
};

/// Calls `visit(const LayerMatrix&)` for every matrix that a network with these taps needs, in
/// running order.
template <class Visit>
constexpr void for_each_matrix(const Definition& net, std::span<const TapInfo> taps, Visit visit) {
  for_each_layer(net, [&](const Layer& layer) {
    if (layer.position > taps.back().position) return;
    const Conv2dNormActivationConfig& c = layer.conv;
    const int depth = c.in_channels / c.groups * c.kernel * c.kernel;
    visit(LayerMatrix{layer, 0, c.out_channels, depth});
    if (layer.kind == Layer::Kind::squeeze_excitation)
      visit(LayerMatrix{layer, 1, c.in_channels, c.out_channels});
  });
}

/// The place of a matrix where activations are kept as `Stored`. Convolutions over windows read
/// floats.
template <class Stored = float>
constexpr MatrixPlace place_at(std::int64_t start, const LayerMatrix& matrix) {
  const Layer::Role role = matrix.layer.role;
  const bool reads_stored = role != Layer::Role::stem && role != Layer::Role::depthwise;
  return {.values = start,
          .out = matrix.out,
          .depth = matrix.depth,
          .paired = std::is_same_v<Stored, Bfloat16> && reads_stored,
          .interleaved = role == Layer::Role::stem ? matrix.layer.conv.in_channels : 1};
}

/// Places of all matrices of a network with `Features` features.
template <std::size_t Features>
struct PackedPlaces {
  std::array<FeaturePlaces, Features> features{};
  MatrixPlace embedding;
  MatrixPlace logits;
  std::int64_t size = 0;  ///< Floats in all.
};

template <std::size_t Features, class Stored>
constexpr PackedPlaces<Features> packed_places(const Definition& net,
                                               std::span<const TapInfo> taps) {
  PackedPlaces<Features> places;
  for_each_matrix(net, taps, [&](const LayerMatrix& matrix) {
    const Layer& layer = matrix.layer;
    const MatrixPlace place = place_at<Stored>(places.size, matrix);
    places.size = place.end();
    const auto feature = [&]() -> FeaturePlaces& {
      return places.features[static_cast<std::size_t>(feature_at(layer.position))];
    };
    switch (layer.role) {
      case Layer::Role::expansion:
        feature().expansion = place;
        break;
      case Layer::Role::depthwise:
        feature().depthwise = place;
        break;
      case Layer::Role::squeeze:
        (matrix.part == 0 ? feature().squeeze : feature().excite) = place;
        break;
      case Layer::Role::stem:
      case Layer::Role::projection:
      case Layer::Role::closing:
        feature().projection = place;
        break;
      case Layer::Role::hidden:
        places.embedding = place;
        break;
      case Layer::Role::output:
        places.logits = place;
        break;
    }
  });
  return places;
}

/// Writes one matrix to its place.
template <class T>
void pack(const MatrixPlace& place, const FoldedProduct<T>& product, std::span<float> weights) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  std::fill(weights.begin() + place.values, weights.begin() + place.end(), 0.0F);
  auto* const pairs = reinterpret_cast<Bfloat16Pair*>(weights.data());
  for (std::int64_t o = 0; o < place.out; ++o) {
    const std::int64_t block = o / block_lanes;
    const std::int64_t lane = o % block_lanes;
    for (std::int64_t k = 0; k < place.depth; ++k) {
      const auto value =
          static_cast<float>(product.weight[at(o * place.depth + place.source_of(k))]);
      const std::int64_t factor = place.paired ? k / 2 : k;
      const std::int64_t i = place.values + (block * place.factors() + factor) * block_lanes + lane;
      if (place.paired)
        (k % 2 == 0 ? pairs[i].first : pairs[i].second) = Bfloat16(value);
      else
        weights[at(i)] = value;
    }
    const double scale = product.scale[at(o)];
    const auto start = static_cast<float>(product.start[at(o)]);
    const double lost = (product.start[at(o)] - static_cast<double>(start)) * scale;
    weights[at(place.start() + o)] = start;
    weights[at(place.scale() + o)] = static_cast<float>(scale);
    weights[at(place.shift() + o)] =
        static_cast<float>(product.shift[at(o)] + (std::isfinite(lost) ? lost : 0.0));
  }
}

}  // namespace mnv3::engine
