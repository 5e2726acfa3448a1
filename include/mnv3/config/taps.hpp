// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/stride.hpp>

// Which outputs a network exposes, as a type: `taps<after<3>, at_stride<8>, logits>`.

namespace mnv3 {

/// A tap as a value.
struct TapRequest {
  enum class Kind { after, at_stride, first_at_stride, expansion, pooled, embedding, logits };
  Kind kind;
  int value = 0;    ///< A feature; nothing where `stride` or the kind says all.
  Stride stride{};  ///< Of the kinds with a stride in their names.
};

/// The output of `features.<Feature>`.
template <int Feature>
struct after {
  static constexpr TapRequest request{TapRequest::Kind::after, Feature};
};

/// The output of the *last* feature at this output stride, the closing convolution included: what
/// RVM and timm call the feature of a stride. `at_stride<8, 4>` is 8 along the height and 4 along
/// the width.
template <int Height, int Width = Height>
struct at_stride {
  static constexpr TapRequest request{.kind = TapRequest::Kind::at_stride,
                                      .stride = {Height, Width}};
};

/// The output of the *first* feature at this output stride: what torchvision's LR-ASPP and
/// DeepLabV3 call low. The same shape as `at_stride`, but another tensor.
template <int Height, int Width = Height>
struct first_at_stride {
  static constexpr TapRequest request{.kind = TapRequest::Kind::first_at_stride,
                                      .stride = {Height, Width}};
};

/// The output of the expansion (convolution, batch norm, activation) inside block `Feature`: what
/// torchvision's SSDlite taps.
template <int Feature>
struct expansion {
  static constexpr TapRequest request{TapRequest::Kind::expansion, Feature};
};

/// The last feature map, pooled to one value for each channel: (N, channels).
struct pooled {
  static constexpr TapRequest request{TapRequest::Kind::pooled};
};

/// The input of the last Linear, before dropout: (N, last_channel), or what is pooled where the
/// classifier has no hidden layer.
struct embedding {
  static constexpr TapRequest request{TapRequest::Kind::embedding};
};

/// The classifier's output: (N, num_classes).
struct logits {
  static constexpr TapRequest request{TapRequest::Kind::logits};
};

/// The outputs of a network, in ascending order. `taps<>` is the plain classifier.
template <class... Taps>
struct taps {
  static constexpr std::array<TapRequest, sizeof...(Taps)> requests{Taps::request...};
};

/// What a tap turns out to be in a given network.
struct TapInfo {
  int feature;    ///< Index in `features`; -1 for `pooled`, `embedding` and `logits`.
  int channels;   ///< Of the tapped tensor.
  Stride stride;  ///< Input pixels for each output pixel; 0 where `feature` is -1.
  int position;   ///< See `position_after`.

  friend constexpr bool operator==(const TapInfo&, const TapInfo&) = default;
};

/// Position of what a request names, or -1 where `net` has no such thing.
constexpr int position_of(const Definition& net, const TapRequest& request) {
  using enum TapRequest::Kind;
  const int features = feature_count(net);
  int found = -1;
  switch (request.kind) {
    case after:
      return request.value >= 0 && request.value < features ? position_after(request.value) : -1;
    case at_stride:
    case first_at_stride:
      for (int i = 0; i < features; ++i)
        if (output_stride(net, i) == request.stride && (found < 0 || request.kind == at_stride))
          found = position_after(i);
      return found;
    case expansion:
      return is_block(net, request.value) && has_expansion(row_of(net, request.value))
                 ? position_of_expansion(request.value)
                 : -1;
    case pooled:
      return position_of_pooled(net);
    case embedding:
      return position_of_embedding(net);
    case logits:
      return position_of_logits(net);
  }
  return -1;
}

/// The tap at a position that `position_of` gave.
constexpr TapInfo tap_at(const Definition& net, int position) {
  const int feature = feature_at(position);
  if (position == position_of_logits(net)) return {-1, net.settings.num_classes, 0, position};
  if (position == position_of_embedding(net)) return {-1, embedding_channels(net), 0, position};
  if (position == position_of_pooled(net)) return {-1, pooled_channels(net), 0, position};
  if (position == position_of_expansion(feature))
    return {feature, row_of(net, feature).expanded_channels, output_stride(net, feature - 1),
            position};
  return {feature, output_channels(net, feature), output_stride(net, feature), position};
}

/// The outputs of a network with these taps; one, the logits, where there are none.
template <architecture Arch, class Taps>
constexpr auto tap_info_of() {
  constexpr const Definition& net = definition_of<Arch>;
  constexpr std::size_t count = std::max<std::size_t>(1, Taps::requests.size());
  std::array<TapInfo, count> info{};
  if constexpr (Taps::requests.empty())
    info[0] = tap_at(net, position_of_logits(net));
  else
    for (std::size_t i = 0; i < count; ++i)
      info[i] = tap_at(net, position_of(net, Taps::requests[i]));
  return info;
}

/// Which of the outputs is at this position; -1 if none is.
constexpr int tap_index(std::span<const TapInfo> taps, int position) {
  for (std::size_t i = 0; i < taps.size(); ++i)
    if (taps[i].position == position) return static_cast<int>(i);
  return -1;
}

/// Whether something at this position is one of the outputs.
constexpr bool is_tapped(std::span<const TapInfo> taps, int position) {
  return tap_index(taps, position) >= 0;
}

/// Position of the last thing that a network with these taps computes.
template <architecture Arch, class Taps>
constexpr int reach_of() {
  return tap_info_of<Arch, Taps>().back().position;
}

}  // namespace mnv3
