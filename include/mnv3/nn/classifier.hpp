// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/linear.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/nn/activation.hpp>
#include <mnv3/nn/module_tree.hpp>

namespace mnv3 {

/// Linear "0", activation, dropout, Linear "3"; the last one only if `WithLogits`.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L190-195.
template <bool WithLogits>
class ClassifierImpl final : public torch::nn::Cloneable<ClassifierImpl<WithLogits>> {
 public:
  ClassifierImpl(int in_features, const Settings& settings)
      : in_features_(in_features), settings_(settings) {
    reset();
  }

  void reset() override {
    hidden = this->register_module(
        "0", torch::nn::Linear(torch::nn::LinearOptions(in_features_, settings_.last_channel)
                                   .bias(settings_.hidden_bias)));
    if constexpr (WithLogits)
      output = this->register_module(
          "3", torch::nn::Linear(settings_.last_channel, settings_.num_classes));
  }

  /// Shapes  x: (N, in_features). Result: (N, last_channel).
  torch::Tensor embed(const torch::Tensor& x) {
    return apply_in_place(settings_.activation, hidden->forward(x));
  }

  /// Shapes  embedding: (N, last_channel), not written. Result: (N, num_classes).
  torch::Tensor classify(const torch::Tensor& embedding) {
    return output->forward(torch::dropout(embedding, settings_.dropout, this->is_training()));
  }

  void print(ModuleTree& tree, std::string_view key) const {
    tree.open(key, "Sequential");
    tree.leaf("0", printed_linear(hidden));
    tree.leaf("1", printed_name(settings_.activation));
    if constexpr (WithLogits) {
      tree.leaf("2", fmt::format("Dropout(p={}, inplace=True)", printed_float(settings_.dropout)));
      tree.leaf("3", printed_linear(output));
    }
    tree.close();
  }

  torch::nn::Linear hidden{nullptr};
  torch::nn::Linear output{nullptr};

 private:
  static std::string printed_linear(const torch::nn::Linear& linear) {
    return fmt::format("Linear(in_features={}, out_features={}, bias={})",
                       linear->options.in_features(), linear->options.out_features(),
                       linear->options.bias() ? "True" : "False");
  }

  int in_features_;
  Settings settings_;
};

}  // namespace mnv3
