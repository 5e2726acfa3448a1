// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <vector>

#include <mnv3/config.hpp>

// What a table means: one picture through its network in double, pixel by pixel. It shares nothing
// with the kernels, their memory or their weights, and is as simple as it is slow.

namespace kernels::reference {

using namespace mnv3;

/// A feature map; a vector has one pixel.
struct Map {
  std::int64_t height, width;
  std::vector<std::vector<double>> channels;  ///< Each [height][width].

  bool has(std::int64_t y, std::int64_t x) const {
    return y >= 0 && y < height && x >= 0 && x < width;
  }
};

/// The weights of a convolution, of half of squeeze-and-excitation or of a Linear, and its norm:
/// output channel o is (start + the sum of its products) * scale + shift.
struct Product {
  std::vector<double> weight;  ///< [out][in / groups][kernel][kernel]
  std::vector<double> start, scale, shift;
};

inline double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::RE:
      return std::max(x, 0.0);
    case Activation::HS:
      return x * std::clamp(x + 3, 0.0, 6.0) / 6;
    case Activation::RE6:
      return std::clamp(x, 0.0, 6.0);
    case Activation::SiLU:
      return x / (1 + std::exp(-x));
    case Activation::none:
      return x;
  }
  return x;
}

inline double gated(Gate gate, double x) {
  switch (gate) {
    case Gate::hardsigmoid:
      return std::clamp(x + 3, 0.0, 6.0) / 6;
    case Gate::hardsigmoid_slope_0_2:
      return std::clamp(0.2 * x + 0.5, 0.0, 1.0);
    case Gate::sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return x;
}

/// Output pixels of a convolution along one axis, and the zeros before its input.
struct Side {
  std::int64_t out, before;
};
inline Side side_of(const Conv2dNormActivationConfig& c, std::int64_t in, std::int64_t stride) {
  const std::int64_t out = (in + stride - 1) / stride;
  const std::int64_t beside = std::int64_t{c.kernel - 1} * c.dilation;  // what a pixel sees besides
  if (c.padding == Padding::symmetric) return {out, beside / 2};
  return {out, std::max<std::int64_t>((out - 1) * stride + 1 + beside - in, 0) / 2};
}

inline Map convolved(const Map& in, const Conv2dNormActivationConfig& c, const Product& product) {
  const Side rows = side_of(c, in.height, c.stride.height);
  const Side columns = side_of(c, in.width, c.stride.width);
  const auto seen = static_cast<std::size_t>(c.in_channels / c.groups);  // by each output channel
  const auto together = static_cast<std::size_t>(c.out_channels / c.groups);
  const auto window = seen * static_cast<std::size_t>(c.kernel * c.kernel);
  Map out{rows.out, columns.out, {}};
  for (std::size_t o = 0; o < together * static_cast<std::size_t>(c.groups); ++o) {
    out.channels.emplace_back();
    for (std::int64_t y = 0; y < rows.out; ++y)
      for (std::int64_t x = 0; x < columns.out; ++x) {
        const double* weight = product.weight.data() + o * window;
        double sum = product.start[o];
        for (std::size_t i = 0; i < seen; ++i) {
          const double* pixels = in.channels[o / together * seen + i].data();
          for (int ky = 0; ky < c.kernel; ++ky)
            for (int kx = 0; kx < c.kernel; ++kx, ++weight) {
              const std::int64_t row = y * c.stride.height - rows.before + ky * c.dilation;
              const std::int64_t column = x * c.stride.width - columns.before + kx * c.dilation;
              if (in.has(row, column)) sum += *weight * pixels[row * in.width + column];
            }
        }
        out.channels[o].push_back(
            activated(c.activation, sum * product.scale[o] + product.shift[o]));
      }
  }
  return out;
}

inline Map pooled(const Map& in, Pooling pooling) {
  Map out{1, 1, {}};
  for (const std::vector<double>& pixels : in.channels) {
    const double sum = std::accumulate(pixels.begin(), pixels.end(), 0.0);
    const double mean = sum / static_cast<double>(pixels.size());
    const double most = *std::max_element(pixels.begin(), pixels.end());
    out.channels.push_back({pooling == Pooling::avg   ? mean
                            : pooling == Pooling::max ? most
                                                      : (mean + most) / 2});
  }
  return out;
}

/// What is at each position of the network (see config/position.hpp). There is a product for each
/// layer, in running order, and two for squeeze-and-excitation.
inline std::map<int, Map> run(const Definition& net, const std::vector<Product>& products, Map x) {
  const Input& input = net.settings.input;
  const Squeeze& squeeze = net.settings.squeeze;
  std::map<int, Map> found;
  auto product = products.begin();
  const auto convolve = [&](const Map& in, const Conv2dNormActivationConfig& c) {
    return convolved(in, c, *product++);
  };
  for (std::size_t c = 0; c < input.mean.size(); ++c)
    for (double& value : x.channels[c]) value = (value - input.mean[c]) / input.std[c];

  x = found[position_after(0)] = convolve(x, stem_of(net));
  int feature = 1;
  for (const InvertedResidualConfig& row : net.blocks) {
    Map y = x;
    if (has_expansion(row)) y = convolve(y, expansion_of(row));
    found[position_of_expansion(feature)] = y;
    y = convolve(y, depthwise_of(row, net.settings));
    if (row.use_se) {
      const int narrow = squeeze_channels(row, squeeze);
      Map gates =
          convolve(pooled(y, Pooling::avg),
                   {.in_channels = row.expanded_channels,
                    .out_channels = narrow,
                    .activation = squeeze.block_activation ? row.activation : Activation::RE});
      gates = convolve(gates, {.in_channels = narrow, .out_channels = row.expanded_channels});
      for (std::size_t c = 0; c < y.channels.size(); ++c)
        for (double& value : y.channels[c]) value *= gated(squeeze.gate, gates.channels[c][0]);
    }
    y = convolve(y, projection_of(row));
    if (has_residual(row))
      for (std::size_t c = 0; c < y.channels.size(); ++c)
        for (std::size_t i = 0; i < y.channels[c].size(); ++i) y.channels[c][i] += x.channels[c][i];
    x = found[position_after(feature++)] = y;
  }
  for (; feature < feature_count(net); ++feature)
    x = found[position_after(feature)] = convolve(x, closing_of(net, feature));

  x = found[position_of_pooled(net)] = pooled(x, net.settings.pooling);
  if (net.settings.hidden_layer)
    x = found[position_of_embedding(net)] = convolve(x, {.in_channels = pooled_channels(net),
                                                         .out_channels = net.settings.last_channel,
                                                         .activation = net.settings.activation});
  found[position_of_logits(net)] = convolve(
      x, {.in_channels = embedding_channels(net), .out_channels = net.settings.num_classes});
  return found;
}

}  // namespace kernels::reference
