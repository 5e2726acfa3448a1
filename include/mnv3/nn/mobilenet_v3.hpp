// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <fmt/format.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/nn/classifier.hpp>
#include <mnv3/nn/features.hpp>
#include <mnv3/nn/init.hpp>
#include <mnv3/nn/module_tree.hpp>

namespace mnv3 {

namespace detail {

/// Stands where a network has no classifier.
struct NoClassifier {};

/// Refuses what no MobileNetV3 can take, with what was given and what is allowed.
inline void check_input(const torch::Tensor& x, int channels) {
  TORCH_CHECK(x.defined(), "mnv3: the network was given an undefined tensor");
  TORCH_CHECK(x.is_floating_point(), "mnv3: the network takes floating-point tensors, but was ",
              "given ", x.scalar_type(),
              "; convert with x.to(torch::kFloat) and scale to what the network ",
              "was trained on");
  const bool fits =
      (x.dim() == 4 || x.dim() == 5) && x.size(-3) == channels && x.size(-2) > 0 && x.size(-1) > 0;
  TORCH_CHECK(fits, "mnv3: the network takes (N, ", channels, ", H, W) or (B, T, ", channels,
              ", H, W) with H and W at least 1, but was given ", x.sizes());
}

/// Shapes  x: (N, C, H, W).
inline torch::Tensor normalize(const torch::Tensor& x, const Input& input) {
  const auto per_channel = [&](std::span<const double> values) {
    return torch::tensor(std::vector<double>(values.begin(), values.end()), torch::kDouble)
        .to(x.options())
        .view({-1, 1, 1});
  };
  return (x - per_channel(input.mean)).div_(per_channel(input.std));
}

/// Splits the first dimension of `x` into the first two of `sequence`.
inline torch::Tensor unflatten_sequence(const torch::Tensor& x, const torch::Tensor& sequence) {
  std::vector<std::int64_t> sizes{sequence.size(0), sequence.size(1)};
  sizes.insert(sizes.end(), x.sizes().begin() + 1, x.sizes().end());
  return x.view(sizes);
}

}  // namespace detail

/// MobileNetV3 as the table of `Arch` describes it, up to the last of `Taps`.
///
/// Child modules and tensors have torchvision's names; what no tap needs does not exist.
/// Initialised as in torchvision.
template <architecture Arch, class Taps>
class MobileNetV3Impl final : public torch::nn::Cloneable<MobileNetV3Impl<Arch, Taps>> {
 public:
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr auto tap_info = tap_info_of<Arch, Taps>();
  static constexpr std::size_t tap_count = tap_info.size();
  static constexpr int reach = tap_info.back().position;
  static constexpr bool has_classifier = reach >= position_of_embedding(net);

  using Outputs = std::array<torch::Tensor, tap_count>;
  /// One output comes back as a plain tensor, several as an array, which destructures.
  using Result = std::conditional_t<tap_count == 1, torch::Tensor, Outputs>;
  using Features = FeaturesImpl<Arch, Taps>;
  using Classifier =
      std::conditional_t<has_classifier, ClassifierImpl<reach == position_of_logits(net)>,
                         detail::NoClassifier>;

  MobileNetV3Impl() { reset(); }

  void reset() override {
    features = this->register_module("features", std::make_shared<Features>());
    if constexpr (has_classifier)
      classifier = this->register_module(
          "classifier",
          std::make_shared<Classifier>(output_channels(net, feature_count(net) - 1), net.settings));
    initialize_weights(*this);
  }

  /// Runs the network up to the last tap and returns what is tapped, in the order of the taps.
  ///
  /// Shapes  x: (N, C, H, W) or (B, T, C, H, W), any strides; N, B and T may be 0. Output i:
  ///         (N, channels[i], ceil(H/s), ceil(W/s)) with s = strides[i], (N, channels[i]) for
  ///         `embedding` and `logits`; with (B, T) in place of N where the input has them.
  /// Units   What `Arch::input` says: RGB in [0, 1], normalised by the caller unless it says
  ///         otherwise.
  /// Errors  c10::Error if x has another rank, channel count or an integer type, or no pixels.
  /// Grad    Participates in autograd; eval() and NoGradGuard are the caller's. Outputs are never
  ///         written again.
  /// Source  torchvision 0.14.1 models/mobilenetv3.py L209-220; RobustVideoMatting
  ///         model/mobilenetv3.py L36-72.
  Result forward(const torch::Tensor& x) {
    detail::check_input(x, net.settings.input.channels);
    const bool is_sequence = x.dim() == 5;
    Outputs outputs = forward_pictures(is_sequence ? x.flatten(0, 1) : x);
    if (is_sequence)
      for (torch::Tensor& output : outputs) output = detail::unflatten_sequence(output, x);
    if constexpr (tap_count == 1)
      return outputs[0];
    else
      return outputs;
  }

  void print(ModuleTree& tree) const {
    tree.open("", "MobileNetV3");
    features->print(tree, "features");
    if constexpr (has_classifier) {
      tree.leaf("avgpool", "AdaptiveAvgPool2d(output_size=1)");
      classifier->print(tree, "classifier");
    }
    tree.close();
  }

  std::shared_ptr<Features> features;
  std::conditional_t<has_classifier, std::shared_ptr<Classifier>, detail::NoClassifier> classifier;

 private:
  Outputs forward_pictures(torch::Tensor x) {  // (N, C, H, W)
    if constexpr (net.settings.input.normalized_inside())
      x = detail::normalize(x, net.settings.input);
    Outputs outputs;
    x = features->forward(std::move(x), outputs);
    if constexpr (has_classifier) {
      const torch::Tensor pooled = torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1);  // (N, C)
      const torch::Tensor embedding = classifier->embed(pooled);
      for (std::size_t i = 0; i < tap_count; ++i)
        if (tap_info[i].position == position_of_embedding(net)) outputs[i] = embedding;
      if constexpr (reach == position_of_logits(net))
        outputs.back() = classifier->classify(embedding);
    }
    return outputs;
  }
};

namespace detail {

/// Stands where an architecture or its taps were refused: it can be used like a network with
/// `Outputs` outputs, so that the compiler reports nothing but the refusal.
template <std::size_t Outputs>
class Refused : public torch::nn::Module {
 public:
  std::conditional_t<Outputs == 1, torch::Tensor, std::array<torch::Tensor, Outputs>> forward(
      const torch::Tensor& x);
  void print(ModuleTree& tree) const;
};

/// Number of outputs of a network with these taps.
template <class Taps>
inline constexpr std::size_t output_count = std::max<std::size_t>(1, Taps::requests.size());

template <architecture Arch, class Taps>
constexpr bool is_legal() {
  static_assert(verify<Arch>());
  if constexpr (check(definition_of<Arch>).ok()) {
    static_assert(verify_taps<Arch, Taps>());
    return check_taps(definition_of<Arch>, Taps::requests).ok();
  }
  return false;
}

template <architecture Arch, class Taps>
using Contained = std::conditional_t<is_legal<Arch, Taps>(), MobileNetV3Impl<Arch, Taps>,
                                     Refused<output_count<Taps>>>;

/// One field of every tap.
template <architecture Arch, class Taps>
constexpr auto tap_fields(int TapInfo::*field) {
  std::array<int, output_count<Taps>> values{};
  if constexpr (is_legal<Arch, Taps>()) {
    constexpr auto info = tap_info_of<Arch, Taps>();
    for (std::size_t i = 0; i < info.size(); ++i) values[i] = info[i].*field;
  }
  return values;
}

}  // namespace detail

/// A MobileNetV3 of architecture `Arch` whose forward returns `Taps`; without taps, the logits.
///
/// A LibTorch module holder: copies share the network, `clone` copies it, `nullptr` is the empty
/// state.
template <architecture Arch, class Taps = taps<>>
class MobileNetV3 : public torch::nn::ModuleHolder<detail::Contained<Arch, Taps>> {
  using Base = torch::nn::ModuleHolder<detail::Contained<Arch, Taps>>;

 public:
  using Impl = detail::Contained<Arch, Taps>;

  static constexpr auto channels = detail::tap_fields<Arch, Taps>(&TapInfo::channels);
  /// Input pixels for each output pixel; 0 for `embedding` and `logits`.
  static constexpr auto strides = detail::tap_fields<Arch, Taps>(&TapInfo::stride);
  /// Index in `features` of each tap; -1 for `embedding` and `logits`.
  static constexpr auto features = detail::tap_fields<Arch, Taps>(&TapInfo::feature);

  using Base::Base;

  /// A deep copy, typed. What is frozen stays frozen, which LibTorch's own `clone` forgets.
  MobileNetV3 clone() const { return adopt((*this)->clone()); }
  /// The same, on `device`.
  MobileNetV3 clone(torch::Device device) const { return adopt((*this)->clone(device)); }

 private:
  MobileNetV3 adopt(const std::shared_ptr<torch::nn::Module>& copy) const {
    const auto theirs = (*this)->parameters();
    const auto ours = copy->parameters();
    for (std::size_t i = 0; i < ours.size(); ++i)
      ours[i].set_requires_grad(theirs[i].requires_grad());
    return MobileNetV3(std::dynamic_pointer_cast<Impl>(copy));
  }
};

/// Prints the module tree as Python's `print(model)` does.
template <architecture Arch, class Taps>
std::ostream& operator<<(std::ostream& stream, const MobileNetV3<Arch, Taps>& net) {
  ModuleTree tree;
  net->print(tree);
  return stream << tree.text();
}

}  // namespace mnv3

template <class Arch, class Taps>
struct fmt::formatter<mnv3::MobileNetV3<Arch, Taps>> : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(const mnv3::MobileNetV3<Arch, Taps>& net, FormatContext& context) const {
    mnv3::ModuleTree tree;
    net->print(tree);
    return fmt::formatter<std::string_view>::format(tree.text(), context);
  }
};
