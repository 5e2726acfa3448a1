// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <torch/types.h>

#include <mnv3/config/diagnostics.hpp>

namespace mnv3 {

namespace heads {

/// What a backbone with `Count` outputs gives: one tensor, or an array of them.
template <std::size_t Count>
using Features = std::conditional_t<Count == 1, torch::Tensor, std::array<torch::Tensor, Count>>;

}  // namespace heads

/// What decoders are put on: `B::channels` and `B::strides` say what comes out, and `backbone(x)`
/// gives it: one tensor, or a std::array of them.
///
/// Holders of MobileNetV3 meet it, so do networks that are deployed, and any class with these three.
template <class B>
concept feature_backbone = requires(B& backbone, const torch::Tensor& x) {
  { B::channels.size() } -> std::convertible_to<std::size_t>;
  { B::channels[0] } -> std::convertible_to<int>;
  { B::strides[0] == 1 } -> std::convertible_to<bool>;
  requires B::channels.size() == B::strides.size();
  { backbone(x) } -> std::convertible_to<heads::Features<B::channels.size()>>;
};

namespace heads {

template <auto... Values>
struct has;
template <auto... Values>
struct needs;
template <class Backbone, class... Details>
struct backbone_error;

template <class Backbone, std::size_t... I>
has<Backbone::strides[I]...> strides_as_type(std::index_sequence<I...>);

/// Whether the outputs of `Backbone` have just these strides, in this order.
template <class Backbone, int... Strides>
constexpr bool has_strides() {
  if constexpr (Backbone::strides.size() == sizeof...(Strides)) {
    std::size_t i = 0;
    return ((Backbone::strides[i++] == Strides) && ...);
  }
  return false;
}

/// Whether `Backbone` is one, with one output for each of these strides; refuses it in two lines
/// where it is not.
template <class Backbone, int... Strides>
constexpr bool is_backbone_for() {
  constexpr bool is_backbone = feature_backbone<Backbone>;
  static_assert(is_backbone,
                "mnv3: [is_backbone] a backbone has `static constexpr` arrays `channels` and "
                "`strides`, one number for each output, and `backbone(x)` gives these as a tensor "
                "or a std::array of tensors");
  if constexpr (!is_backbone) {
    config::detail::show<backbone_error<Backbone>>();
    return false;
  } else {
    constexpr bool fits = has_strides<Backbone, Strides...>();
    static_assert(fits,
                  "mnv3: [strides_fit] this decoder needs a backbone with one output for each of "
                  "its strides, in their order: choose the taps");
    if constexpr (!fits)
      config::detail::show<backbone_error<
          Backbone,
          decltype(strides_as_type<Backbone>(std::make_index_sequence<Backbone::strides.size()>{})),
          needs<Strides...>>>();
    return fits;
  }
}

template <int Count>
struct outputs;

/// Whether `Backbone` is one, with one of these numbers of outputs, whatever their strides; refuses
/// it in two lines where it is not.
template <class Backbone, int... Counts>
constexpr bool is_backbone_of() {
  if constexpr (!feature_backbone<Backbone>) {
    return is_backbone_for<Backbone>();
  } else {
    constexpr int count = static_cast<int>(Backbone::channels.size());
    constexpr bool fits = ((count == Counts) || ...);
    static_assert(fits,
                  "mnv3: [outputs_fit] this decoder needs a backbone with another number of "
                  "outputs, from the lowest stride to the highest: choose the taps");
    if constexpr (!fits)
      config::detail::show<backbone_error<Backbone, outputs<count>, needs<Counts...>>>();
    return fits;
  }
}

}  // namespace heads

}  // namespace mnv3
