// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <type_traits>

#include <mnv3/engine/arena.hpp>

namespace mnv3 {

/// Where an output is written: all of it, dense. Arrays, vectors and spans of float become one by
/// themselves, for (N, C, H, W) or (N, C); see `channels_last` for (N, H, W, C). What would be gone
/// after the call does not.
struct OutputView {
  float* data = nullptr;
  std::size_t size = 0;
  bool is_channels_last = false;

  OutputView() = default;
  OutputView(float* to, std::size_t count, bool channels_last = false)
      : data(to), size(count), is_channels_last(channels_last) {}
  template <class Range>
  requires(std::ranges::contiguous_range<Range>&& std::ranges::sized_range<Range>&&
               std::ranges::borrowed_range<Range>&&
                   std::is_same_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>,
                                  float>)
      OutputView(Range&& floats)  // NOLINT(google-explicit-constructor): it is how a call reads
      : OutputView(std::ranges::data(floats), std::ranges::size(floats)) {}
};

/// An output that is written pixel by pixel.
inline OutputView channels_last(OutputView output) {
  output.is_channels_last = true;
  return output;
}

/// An output that has its own memory.
///
/// Shapes  (batch, channels, height, width), dense. `pooled`, `embedding` and `logits` have height 1
///         and width 1.
class FeatureMap {
 public:
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;

  FeatureMap() = default;
  FeatureMap(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w)
      : batch(n), channels(c), height(h), width(w), floats_(n * c * h * w) {}

  std::span<float> values() & { return {floats_.data(), size()}; }
  std::span<const float> values() const& { return {floats_.data(), size()}; }
  void values() const&& = delete;  // they would be gone

 private:
  std::size_t size() const { return static_cast<std::size_t>(floats_.size()); }

  engine::AlignedFloats floats_;
};

}  // namespace mnv3
