// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/linear.h>

#include <mnv3/config/layers.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/print.hpp>
#include <mnv3/nn/printed_module.hpp>

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
    if (!hidden) return x;
    return nn::apply_in_place(settings_.activation, hidden->forward(x));
  }

  /// Shapes  embedding: (N, last_channel), not written. Result: (N, num_classes).
  torch::Tensor classify(const torch::Tensor& embedding) {
    return output->forward(torch::dropout(embedding, settings_.dropout, this->is_training()));
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

  int in_features_;
  Settings settings_;
};

}  // namespace mnv3
