// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <sstream>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/channels.hpp>
#include <mnv3/config/declaration.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/outputs.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/classifier.hpp>
#include <mnv3/nn/features.hpp>
#include <mnv3/nn/init.hpp>
#include <mnv3/nn/input.hpp>
#include <mnv3/nn/own_block.hpp>
#include <mnv3/nn/pool.hpp>
#include <mnv3/nn/printed_module.hpp>

namespace mnv3 {

namespace nn {

/// Stands where a network has no classifier.
struct NoClassifier {};

}  // namespace nn

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
  static constexpr bool has_pooling = reach >= position_of_pooled(net);
  /// Whether there is any layer after the pooling.
  static constexpr bool has_classifier = reach > position_of_pooled(net);

  using Outputs = std::array<torch::Tensor, tap_count>;
  /// One output comes back as a plain tensor, several as an array, which destructures.
  using Result = std::conditional_t<tap_count == 1, torch::Tensor, Outputs>;
  using Features = mnv3::Features<Arch, Taps>;
  using Classifier =
      std::conditional_t<has_classifier, ClassifierImpl<reach == position_of_logits(net)>,
                         nn::NoClassifier>;

  /// Whether the number of classes is given to the constructor, not in the type.
  static constexpr bool has_dynamic_classes = mnv3::has_dynamic_classes(net, reach);

  MobileNetV3Impl() requires(!has_dynamic_classes) { reset(); }

  /// Errors  c10::Error if `num_classes` is below 1.
  explicit MobileNetV3Impl(std::int64_t num_classes) requires has_dynamic_classes
      : settings_(with_classes(num_classes)) {
    reset();
  }

  /// All layers of `other` but its last one, which is new and has `num_classes` outputs: whatever
  /// trains one network trains the other. See `replace_classifier`.
  ///
  /// Errors  As above; c10::Error if `num_classes` is another number than in the type.
  template <class Other>
  MobileNetV3Impl(const MobileNetV3Impl<Other, Taps>& other,
                  std::int64_t num_classes) requires(reach == position_of_logits(net))
      : settings_(with_classes(num_classes)) {
    features = this->register_module(
        "features", Features(std::make_shared<FeaturesImpl<Arch, Taps>>(*other.features)));
    this->register_module("avgpool", other.named_children()["avgpool"]);
    classifier = this->register_module("classifier",
                                       std::make_shared<Classifier>(*other.classifier, settings_));
    if (!other.is_training()) this->eval();
  }

  void reset() override {
    features = this->register_module("features", Features());
    if constexpr (has_pooling)
      this->register_module("avgpool", std::make_shared<nn::ParameterlessImpl>(
                                           nn::printed_pooling(net.settings.pooling)));
    if constexpr (has_classifier)
      classifier = this->register_module(
          "classifier", std::make_shared<Classifier>(pooled_channels(net), settings_));
    initialize_weights(*this);
  }

  /// What this network is: its table and settings, with the number of classes it has.
  Definition definition() const { return {net.blocks, settings_, net.has_own_block}; }

  /// Runs the network up to the last tap and returns what is tapped, in the order of the taps.
  ///
  /// Shapes  x: (N, C, H, W) or (B, T, C, H, W), any strides; N, B and T may be 0. Output i:
  ///         (N, channels[i], ceil(H/s), ceil(W/s)) with s = strides[i], (N, channels[i]) for
  ///         `pooled`, `embedding` and `logits`; with (B, T) in place of N where the input has
  ///         them.
  /// Units   What `Settings::input` says: RGB in [0, 1], normalised by the caller unless it says
  ///         otherwise.
  /// Errors  c10::Error if x has another rank or channel count, another dtype or device than the
  ///         network's parameters, or no pixels. Under autocast the dtype may differ.
  /// Grad    Participates in autograd; eval() and NoGradGuard are the caller's. Outputs are never
  ///         written again.
  /// Source  torchvision 0.14.1 models/mobilenetv3.py L209-220; RobustVideoMatting
  ///         model/mobilenetv3.py L36-72.
  Result forward(const torch::Tensor& x) {
    nn::check_input(x, net.settings.input.channels);
    check_own_children();
    nn::check_same_type(x, features->template at<0>().conv->weight);
    const bool is_sequence = x.dim() == 5;
    Outputs outputs = forward_pictures(is_sequence ? x.flatten(0, 1) : x);
    if (is_sequence)
      for (torch::Tensor& output : outputs) output = nn::unflatten_sequence(output, x);
    if constexpr (tap_count == 1)
      return outputs[0];
    else
      return outputs;
  }

  /// Refuses what `replace_module` put among the children, their children included: `forward` and
  /// `deploy` would not see it.
  ///
  /// Errors  c10::Error that names the child and what to do instead.
  void check_children() const {
    check_own_children();
    features->check_children();
    if constexpr (has_classifier) classifier->check_children();
  }

  void pretty_print(std::ostream& stream) const override { stream << "MobileNetV3"; }

  Features features{nullptr};
  std::conditional_t<has_classifier, std::shared_ptr<Classifier>, nn::NoClassifier> classifier;

 private:
  static Settings with_classes(std::int64_t num_classes) {
    Settings settings = net.settings;
    TORCH_CHECK(num_classes >= 1 && num_classes <= most_channels, "mnv3: a network has from 1 to ",
                most_channels, " classes, but was given ", num_classes);
    TORCH_CHECK(has_dynamic_classes || settings.num_classes == num_classes,
                "mnv3: the type of this network says ", settings.num_classes.value(),
                " classes, but ", num_classes, " were given");
    settings.num_classes = static_cast<int>(num_classes);
    return settings;
  }

  void check_own_children() const {
    if constexpr (has_classifier)
      nn::check_children(*this, {features.get(), nullptr, classifier.get()});
    else
      nn::check_children(*this, {features.get()});
  }

  Outputs forward_pictures(torch::Tensor x) {  // (N, C, H, W)
    if constexpr (net.settings.input.normalized_inside()) x = nn::normalize(x, net.settings.input);
    Outputs outputs;
    x = features->forward_tapped(std::move(x), outputs);
    const auto tap = [&](int position, const torch::Tensor& output) {
      if (const int i = tap_index(tap_info, position); i >= 0)
        outputs[static_cast<std::size_t>(i)] = output;
    };
    if constexpr (has_pooling) {
      const torch::Tensor pooled = nn::pool(net.settings.pooling, x);  // (N, C)
      tap(position_of_pooled(net), pooled);
      if constexpr (has_classifier) {
        const torch::Tensor embedding = classifier->embed(pooled);
        tap(position_of_embedding(net), embedding);
        if constexpr (reach == position_of_logits(net))
          outputs.back() = classifier->classify(embedding);
      }
    }
    return outputs;
  }

  Settings settings_ = net.settings;
};

namespace nn {

/// Stands where an architecture or its taps were refused: it can be used like a network with
/// `Outputs` outputs, so that the compiler reports nothing but the refusal.
template <std::size_t Outputs>
class Refused : public torch::nn::Module {
 public:
  std::conditional_t<Outputs == 1, torch::Tensor, std::array<torch::Tensor, Outputs>> forward(
      const torch::Tensor& x);
  void check_children() const {}
  Definition definition() const;
};

template <class Arch, class Taps>
constexpr bool is_legal() {
  static_assert(verify<Arch>());
  if constexpr (is_valid<Arch>()) {
    static_assert(verify_own_block<Arch>());
    static_assert(verify_taps<Arch, Taps>());
    return is_own_block_valid<Arch>() && check_taps(definition_of<Arch>, Taps::requests).ok();
  }
  return false;
}

template <class Arch, class Taps, bool Legal>
struct contained {
  using type = Refused<OutputsOf<Arch, Taps, false>::count>;
};
template <class Arch, class Taps>
struct contained<Arch, Taps, true> {
  using type = MobileNetV3Impl<Arch, Taps>;
};
template <class Arch, class Taps>
using Contained = typename contained<Arch, Taps, is_legal<Arch, Taps>()>::type;

}  // namespace nn

/// A MobileNetV3 of architecture `Arch` whose forward returns `Taps`; without taps, the logits.
///
/// A LibTorch module holder: copies share the network, `clone` copies it, `nullptr` is the empty
/// state.
template <class Arch, class Taps = taps<>>
class MobileNetV3 : public torch::nn::ModuleHolder<nn::Contained<Arch, Taps>> {
  using Base = torch::nn::ModuleHolder<nn::Contained<Arch, Taps>>;
  using Outputs = OutputsOf<Arch, Taps, nn::is_legal<Arch, Taps>()>;

 public:
  using Impl = nn::Contained<Arch, Taps>;

  static constexpr auto channels = Outputs::channels;
  /// Input pixels for each output pixel, as `int`, or as `Stride` where one differs between the
  /// axes; 0 for `pooled`, `embedding` and `logits`.
  static constexpr auto strides = Outputs::strides;
  /// Index in `features` of each tap; -1 for `pooled`, `embedding` and `logits`.
  static constexpr auto feature_indices = Outputs::feature_indices;

  using Base::Base;

  /// A deep copy, typed. What is frozen stays frozen, which LibTorch's own `clone` forgets.
  MobileNetV3 clone() const { return typed((*this)->clone()); }
  /// The same, on `device`.
  MobileNetV3 clone(torch::Device device) const { return typed((*this)->clone(device)); }

 private:
  static MobileNetV3 typed(const std::shared_ptr<torch::nn::Module>& module) {
    return MobileNetV3(std::dynamic_pointer_cast<Impl>(module));
  }
};

}  // namespace mnv3

/// Prints the module tree as Python's `print(model)` does, as `<<` does.
template <class Arch, class Taps>
struct fmt::formatter<mnv3::MobileNetV3<Arch, Taps>> : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(const mnv3::MobileNetV3<Arch, Taps>& net, FormatContext& context) const {
    std::ostringstream text;
    text << *net;
    return fmt::formatter<std::string_view>::format(text.str(), context);
  }
};
