// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/nn/conv2d_norm_activation.hpp>
#include <mnv3/nn/module_tree.hpp>
#include <mnv3/nn/squeeze_excitation.hpp>

namespace mnv3 {

/// How much of a block exists: where the last tap is an expansion, nothing behind it does.
enum class BlockPart { whole, expansion };

/// The children of one block, registered under their torchvision positions "0", "1", ...
template <InvertedResidualConfig Row, BlockPart Part>
class BottleneckImpl final : public torch::nn::Cloneable<BottleneckImpl<Row, Part>> {
 public:
  static constexpr BlockSlots slots = slots_of(Row);
  static constexpr bool whole = Part == BlockPart::whole;

  explicit BottleneckImpl(const Settings& settings) : settings_(settings) { reset(); }

  void reset() override {
    const auto conv = [this](int slot, const Conv2dNormActivationConfig& config) {
      return this->register_module(std::to_string(slot), Conv2dNormActivation(config, settings_));
    };
    if constexpr (has_expansion(Row)) expansion = conv(slots.expansion, expansion_of(Row));
    if constexpr (whole) {
      depthwise = conv(slots.depthwise, depthwise_of(Row));
      if constexpr (Row.use_se)
        squeeze = this->register_module(
            std::to_string(slots.squeeze),
            SqueezeExcitation(Row.expanded_channels, squeeze_channels(Row)));
      projection = conv(slots.projection, projection_of(Row));
    }
  }

  /// Shapes  x: (N, input_channels, H, W). Result: (N, expanded_channels, H, W).
  torch::Tensor expand(torch::Tensor x) {
    if constexpr (has_expansion(Row))
      return expansion->forward(x);
    else
      return x;
  }

  /// Shapes  x: (N, expanded_channels, H, W). Result: (N, out_channels, H/s, W/s), s the real stride.
  torch::Tensor contract(torch::Tensor x) {
    x = depthwise->forward(x);
    if constexpr (Row.use_se) x = squeeze->forward(std::move(x));
    return projection->forward(x);
  }

  void print(ModuleTree& tree, std::string_view key) const {
    tree.open(key, "Sequential");
    if constexpr (has_expansion(Row)) expansion->print(tree, std::to_string(slots.expansion));
    if constexpr (whole) {
      depthwise->print(tree, std::to_string(slots.depthwise));
      if constexpr (Row.use_se) squeeze->print(tree, std::to_string(slots.squeeze));
      projection->print(tree, std::to_string(slots.projection));
    }
    tree.close();
  }

  Conv2dNormActivation expansion{nullptr};
  Conv2dNormActivation depthwise{nullptr};
  SqueezeExcitation squeeze{nullptr};
  Conv2dNormActivation projection{nullptr};

 private:
  Settings settings_;
};

/// One row of the table as a module: expand, depthwise, squeeze-and-excitation, project, residual.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L52-115.
template <InvertedResidualConfig Row, BlockPart Part = BlockPart::whole>
class InvertedResidualImpl final : public torch::nn::Cloneable<InvertedResidualImpl<Row, Part>> {
 public:
  using Bottleneck = BottleneckImpl<Row, Part>;

  explicit InvertedResidualImpl(const Settings& settings = {}) : settings_(settings) { reset(); }

  void reset() override {
    block = this->register_module("block", std::make_shared<Bottleneck>(settings_));
  }

  /// Shapes  x: (N, input_channels, H, W). Result: (N, out_channels, H/s, W/s), s the real stride.
  torch::Tensor forward(const torch::Tensor& x) { return contract(expand(x), x); }

  /// The first half of `forward`: what the tap `expansion<I>` gives.
  torch::Tensor expand(const torch::Tensor& x) { return block->expand(x); }

  /// The second half of `forward`, from the expanded input and, for the residual, the input itself.
  /// Neither is written.
  torch::Tensor contract(const torch::Tensor& expanded, const torch::Tensor& x) {
    torch::Tensor y = block->contract(expanded);
    if constexpr (has_residual(Row)) y += x;
    return y;
  }

  void print(ModuleTree& tree, std::string_view key) const {
    tree.open(key, "InvertedResidual");
    block->print(tree, "block");
    tree.close();
  }

  std::shared_ptr<Bottleneck> block;

 private:
  Settings settings_;
};

/// Holder of `InvertedResidualImpl`.
template <InvertedResidualConfig Row, BlockPart Part = BlockPart::whole>
class InvertedResidual : public torch::nn::ModuleHolder<InvertedResidualImpl<Row, Part>> {
 public:
  using torch::nn::ModuleHolder<InvertedResidualImpl<Row, Part>>::ModuleHolder;
  using Impl = InvertedResidualImpl<Row, Part>;
};

}  // namespace mnv3
