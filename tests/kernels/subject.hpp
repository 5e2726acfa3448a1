// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <mnv3/config.hpp>
#include <mnv3/engine/kernels/batch.hpp>

#include "kernels/reference.hpp"

// Packed networks without LibTorch, whose memory the sanitizers could not see: all buffers are
// as large as they must be and not a byte larger.

namespace kernels {

using mnv3::Isa;
using mnv3::engine::Extent;
using Floats = std::vector<float>;

/// A random number with mean 0 and deviation 1, the same on every machine: standard libraries do not
/// agree on what their normal distribution draws.
inline double draw(std::mt19937& random) {
  return std::sqrt(3.0) * 0x1p-31 * static_cast<double>(static_cast<std::int32_t>(random()));
}

/// A batch of pictures.
struct Pictures {
  /// The last two have gaps: two more columns, or every second pixel of one row more.
  enum Layout { nchw, channels_last, cropped, strided };

  Floats data;  ///< From the first float to the last one that is read.
  std::int64_t size, channels;
  Extent extent;
  std::int64_t stride, channel_stride, row_stride, column_stride;

  Pictures(std::int64_t n, std::int64_t c, Extent e, Layout layout, std::mt19937& random)
      : size(n), channels(c), extent(e) {
    column_stride = layout == channels_last ? c : layout == strided ? 2 : 1;
    const std::int64_t columns = e.width + (layout == cropped ? 2 : 0);
    row_stride = columns * column_stride;
    const std::int64_t rows = e.height + (layout == strided ? 1 : 0);
    channel_stride = layout == channels_last ? 1 : rows * row_stride;
    stride = layout == channels_last ? rows * row_stride : c * channel_stride;
    data.assign(
        static_cast<std::size_t>((n - 1) * stride + (c - 1) * channel_stride +
                                 (e.height - 1) * row_stride + (e.width - 1) * column_stride + 1),
        std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t k = 0; k < c; ++k)
        for (std::int64_t y = 0; y < e.height; ++y)
          for (std::int64_t x = 0; x < e.width; ++x)
            data[at(i, k, y, x)] = static_cast<float>(draw(random));
  }

  /// Where a pixel is in `data`.
  std::size_t at(std::int64_t picture, std::int64_t channel, std::int64_t y, std::int64_t x) const {
    return static_cast<std::size_t>(picture * stride + channel * channel_stride + y * row_stride +
                                    x * column_stride);
  }

  /// Picture `i`, as the reference reads it.
  reference::Map map(std::int64_t i) const {
    reference::Map map{extent.height, extent.width, {}};
    for (std::int64_t k = 0; k < channels; ++k) {
      auto& pixels = map.channels.emplace_back();
      for (std::int64_t y = 0; y < extent.height; ++y)
        for (std::int64_t x = 0; x < extent.width; ++x)
          pixels.push_back(static_cast<double>(data[at(i, k, y, x)]));
    }
    return map;
  }
};

/// A thread for each task.
inline mnv3::Threads std_threads(std::int64_t count) {
  return {.count = count,
          .run = [](const void*, std::int64_t tasks, const mnv3::engine::Task& task) {
            std::vector<std::jthread> threads;
            for (std::int64_t t = 1; t < tasks; ++t) threads.emplace_back([&task, t] { task(t); });
            task(0);
          }};
}

/// Random weights for all layers of a network, of a size at which values keep theirs.
inline std::vector<reference::Product> draw_products(const mnv3::Definition& net) {
  std::mt19937 random(1);
  const auto values = [&](int count, double deviation) {
    std::vector<double> drawn(static_cast<std::size_t>(count));
    for (double& value : drawn) value = deviation * draw(random);
    return drawn;
  };
  std::vector<reference::Product> products;
  const auto add = [&](int out, int depth) {
    auto weight = values(out * depth, std::sqrt(2.0 / depth));
    auto start = values(out, 0.3);
    auto scale = values(out, 1.0);
    auto shift = values(out, 0.3);
    products.push_back({std::move(weight), std::move(start), std::move(scale), std::move(shift)});
  };
  mnv3::for_each_layer(net, [&](const mnv3::Layer& layer) {
    const mnv3::Conv2dNormActivationConfig& c = layer.conv;
    add(c.out_channels, c.in_channels / c.groups * c.kernel * c.kernel);
    if (layer.kind == mnv3::Layer::Kind::squeeze_excitation) add(c.in_channels, c.out_channels);
  });
  return products;
}

/// A network with random weights. Any number of threads may call `run` at once.
class Subject {
 public:
  Subject(std::string name, const mnv3::Definition& net, std::span<const mnv3::TapInfo> taps,
          bool is_bfloat16)
      : name_(std::move(name)),
        net_(net),
        taps_(taps),
        is_bfloat16_(is_bfloat16),
        products_(draw_products(net)) {}
  virtual ~Subject() = default;

  const std::string& name() const { return name_; }
  const mnv3::Definition& net() const { return net_; }
  std::span<const mnv3::TapInfo> taps() const { return taps_; }
  bool is_bfloat16() const { return is_bfloat16_; }
  const std::vector<reference::Product>& products() const { return products_; }

  /// Those that this machine has and the network is for, the slowest first.
  std::vector<Isa> instruction_sets() const {
    std::vector<Isa> found;
    const auto precision = is_bfloat16_ ? mnv3::Precision::bfloat16 : mnv3::Precision::same;
    for (const Isa isa : mnv3::all_isas)
      if (mnv3::is_available(isa, precision)) found.push_back(isa);
    return found;
  }

  /// What every tap gives. Whatever nobody wrote is NaN.
  virtual std::vector<Floats> run(Isa isa, const Pictures& pictures, bool channels_last,
                                  std::int64_t threads) const = 0;

 private:
  std::string name_;
  const mnv3::Definition& net_;
  std::span<const mnv3::TapInfo> taps_;
  bool is_bfloat16_;
  std::vector<reference::Product> products_;
};

template <mnv3::architecture Arch, class Taps, class Stored = float>
class TypedSubject final : public Subject {
  using Layout = mnv3::engine::NetworkLayout<Arch, Taps, Stored>;
  static constexpr const mnv3::Input& input = Layout::net.settings.input;

 public:
  explicit TypedSubject(std::string name)
      : Subject(std::move(name), Layout::net, Layout::taps,
                std::is_same_v<Stored, mnv3::engine::Bfloat16>),
        weights_(static_cast<std::size_t>(Layout::places.size)),
        mean_(input.mean.begin(), input.mean.end()),
        std_(input.std.begin(), input.std.end()) {
    std::int64_t next = 0;
    auto product = products().begin();
    mnv3::engine::for_each_matrix(
        Layout::net, Layout::taps, [&](const mnv3::engine::LayerMatrix& matrix) {
          const auto place = mnv3::engine::place_at<Stored>(next, matrix);
          next = place.end();
          const auto& [weight, start, scale, shift] = *product++;
          mnv3::engine::pack(
              place, mnv3::engine::FoldedProduct<double>{weight, start, scale, shift}, weights_);
        });
  }

  std::vector<Floats> run(Isa isa, const Pictures& pictures, bool channels_last,
                          std::int64_t threads) const override {
    constexpr float nobody = std::numeric_limits<float>::quiet_NaN();
    std::vector<Floats> outputs;
    const auto extents = mnv3::engine::output_extents<Layout>(pictures.extent);
    std::array<std::int64_t, Layout::taps.size()> strides;
    for (std::size_t i = 0; i < strides.size(); ++i) {
      strides[i] = Layout::taps[i].channels * extents[i].pixels();
      outputs.emplace_back(static_cast<std::size_t>(pictures.size * strides[i]), nobody);
    }
    Floats arena(static_cast<std::size_t>(mnv3::engine::arena_floats_of<Layout>(
                     pictures.extent, threads, pictures.size)),
                 nobody);
    mnv3::engine::run_batch<Arch, Taps, Stored>(
        isa,
        {.weights = weights_.data(),
         .size = pictures.size,
         .extent = pictures.extent,
         .arena = arena.data()},
        std_threads(threads),
        [&](std::int64_t i) {
          return mnv3::engine::Picture{.data = pictures.data.data() + i * pictures.stride,
                                       .channel_stride = pictures.channel_stride,
                                       .row_stride = pictures.row_stride,
                                       .column_stride = pictures.column_stride,
                                       .mean = mean_.empty() ? nullptr : mean_.data(),
                                       .std = std_.empty() ? nullptr : std_.data()};
        },
        [&](std::int64_t i) {
          std::array<mnv3::engine::Output, Layout::taps.size()> views;
          for (std::size_t k = 0; k < views.size(); ++k)
            views[k] = {.data = outputs[k].data() + i * strides[k], .channels_last = channels_last};
          return views;
        });
    return outputs;
  }

 private:
  Floats weights_;
  Floats mean_, std_;  // empty where the caller normalises
};

// Each in a file of its own, which compile in parallel.
std::unique_ptr<Subject> every_kernel();
std::unique_ptr<Subject> every_tap();
std::unique_ptr<Subject> cut_short();
std::unique_ptr<Subject> varied();
std::unique_ptr<Subject> unhidden();
std::unique_ptr<Subject> unclosed();
std::unique_ptr<Subject> every_kernel_in_bfloat16();
std::unique_ptr<Subject> every_tap_in_bfloat16();
std::unique_ptr<Subject> varied_in_bfloat16();
std::unique_ptr<Subject> unclosed_in_bfloat16();

}  // namespace kernels
