// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/linear.h>

#include <mnv3/config/layers.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/config/stage_set.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/init.hpp>
#include <mnv3/nn/print.hpp>
#include <mnv3/nn/printed_module.hpp>
#include <mnv3/nn/requires_grad.hpp>

namespace mnv3 {

/// Linear "0", activation, dropout, Linear "3"; the last one only if `WithLogits`. Without a hidden
/// layer only dropout and Linear "1".
/// Source  torchvision 0.14.1 models/mobilenetv3.py L190-195, models/mobilenetv2.py L168-171.
template <bool WithLogits>
class ClassifierImpl final : public torch::nn::Cloneable<ClassifierImpl<WithLogits>> {
 public:
  ClassifierImpl(int in_features, const Settings& settings)
      : in_features_(in_features), settings_(settings) {
    reset();
    if (settings.frozen.value().contains(Stage::classifier)) freeze();
  }

  /// The same hidden layer, and a new last one: of `settings.num_classes`, initialised as in
  /// torchvision, like the other's in dtype, device and mode.
  ClassifierImpl(const ClassifierImpl& other, const Settings& settings) requires WithLogits
      : ClassifierImpl(other.in_features_, settings) {
    const torch::NoGradGuard no_grad;
    if (hidden) {
      hidden = other.hidden;
      this->replace_module(std::to_string(classifier_slots(settings_).hidden), hidden);
    }
    initialize_linear(*output);
    output->to(other.output->weight.device(), other.output->weight.scalar_type());
    if (!other.is_training()) this->eval();
  }

  void reset() override {
    const ClassifierSlots slots = classifier_slots(settings_);
    int width = in_features_;
    if (settings_.hidden_layer) {
      hidden = linear(slots.hidden, width, settings_.last_channel, settings_.hidden_bias);
      parameterless(slots.activation,
                    nn::printed_activation(settings_.activation, /*in_place=*/true));
      width = settings_.last_channel;
    }
    if constexpr (WithLogits) {
      parameterless(slots.dropout, fmt::format("Dropout(p={}, inplace=True)",
                                               nn::printed_float(settings_.dropout)));
      output = linear(slots.output, width, settings_.num_classes, true);
    }
  }

  /// What `classify` reads: the hidden layer's output or, without one, `x`.
  ///
  /// Shapes  x: (N, in_features). Result: (N, last_channel) or x.
  torch::Tensor embed(const torch::Tensor& x) {
    check_own_children();
    if (!hidden) return x;
    return nn::apply_in_place(settings_.activation, hidden->forward(x));
  }

  /// Shapes  embedding: (N, last_channel), not written. Result: (N, num_classes).
  torch::Tensor classify(const torch::Tensor& embedding) {
    check_output();
    return output->forward(torch::dropout(embedding, settings_.dropout, this->is_training()));
  }

  /// Keeps the classifier as it is: no gradients, no dropout, whatever `train()` says.
  void freeze() {
    is_frozen_ = true;
    nn::set_requires_grad(*this, false);
    this->eval();
  }

  /// The contrary: all its parameters learn again, in the mode `on`.
  ///
  /// Errors  c10::Error if the classifier is frozen in the type.
  void unfreeze(bool on) {
    TORCH_CHECK(!settings_.frozen.value().contains(Stage::classifier),
                "mnv3: the classifier is frozen in the type of this network; leave it out of ",
                "Frozen<...>");
    is_frozen_ = false;
    nn::set_requires_grad(*this, true);
    this->train(on);
  }

  bool is_frozen() const { return is_frozen_; }

  /// What is frozen stays in evaluation mode.
  void train(bool on = true) override { torch::nn::Module::train(on && !is_frozen_); }

  /// Refuses what `replace_module` put among the children.
  void check_children() const {
    check_own_children();
    if constexpr (WithLogits) check_output();
  }

  int num_classes() const { return settings_.num_classes; }

  std::shared_ptr<torch::nn::Module> clone(nn::CloneDevice device = {}) const override {
    auto copy = torch::nn::Cloneable<ClassifierImpl>::clone(device);
    nn::copy_requires_grad(*this, *copy);
    return copy;
  }

  void pretty_print(std::ostream& stream) const override { stream << "Sequential"; }

  torch::nn::Linear hidden{nullptr};
  torch::nn::Linear output{nullptr};

 private:
  torch::nn::Linear linear(int slot, int in, int out, bool bias) {
    const std::string text = fmt::format("Linear(in_features={}, out_features={}, bias={})", in,
                                         out, bias ? "True" : "False");
    return this->register_module(
        std::to_string(slot),
        nn::printed_as(text, torch::nn::LinearImpl(torch::nn::LinearOptions(in, out).bias(bias))));
  }
  void parameterless(int slot, std::string text) {
    this->register_module(std::to_string(slot),
                          std::make_shared<nn::ParameterlessImpl>(std::move(text)));
  }

  // The children's names are also their places.
  void check_own_children() const {
    const ClassifierSlots slots = classifier_slots(settings_);
    const int last = WithLogits ? slots.output : slots.activation;  // -1: there are none
    std::vector<const torch::nn::Module*> own(static_cast<std::size_t>(last + 1));
    if (hidden) own[static_cast<std::size_t>(slots.hidden)] = hidden.get();
    if constexpr (WithLogits) own.back() = output.get();
    nn::check_children(*this, own);
  }
  void check_output() const {
    TORCH_CHECK(output->weight.size(0) == settings_.num_classes, "mnv3: the last layer gives ",
                output->weight.size(0), " values, but this network has ",
                settings_.num_classes.value(), " classes; mnv3::replace_classifier(net, ",
                output->weight.size(0), ") makes a network that has so many");
  }

  int in_features_;
  Settings settings_;
  bool is_frozen_ = false;
};

}  // namespace mnv3
