// SPDX-License-Identifier: MIT
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/block.hpp>
#include <mnv3/config/flow.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/conv2d_norm_activation.hpp>
#include <mnv3/nn/drop_path.hpp>
#include <mnv3/nn/squeeze_excitation.hpp>

namespace mnv3 {

/// How much of a block exists: where the last tap is an expansion, nothing after it does.
enum class BlockPart { whole, expansion };

/// The children of one block, registered under their torchvision positions "0", "1", ... Which of
/// them exist is the row's; how they are run is `InvertedResidualImpl`'s.
class BottleneckImpl final : public torch::nn::Cloneable<BottleneckImpl> {
 public:
  BottleneckImpl(const InvertedResidualConfig& row, BlockPart part, const Settings& settings)
      : row_(row), part_(part), settings_(settings) {
    reset();
  }

  void reset() override {
    const BlockSlots slots = slots_of(row_);
    const auto conv = [this](int slot, const Conv2dNormActivationConfig& config) {
      return register_module(std::to_string(slot), Conv2dNormActivation(config, settings_));
    };
    if (has_expansion(row_)) expansion = conv(slots.expansion, expansion_of(row_));
    if (part_ == BlockPart::expansion) return;
    depthwise = conv(slots.depthwise, depthwise_of(row_, settings_));
    if (row_.use_se)
      squeeze = register_module(
          std::to_string(slots.squeeze),
          SqueezeExcitation(row_.expanded_channels, squeeze_channels(row_, settings_.squeeze),
                            squeeze_activation(row_, settings_.squeeze), settings_.squeeze.gate));
    projection = conv(slots.projection, projection_of(row_));
  }

  /// Refuses what `replace_module` put among the children, but not among theirs: they do it
  /// themselves when they run.
  void check_own_children() const {
    std::vector<const torch::nn::Module*> own;
    for_each_child([&](const auto& module) { own.push_back(module.get()); });
    nn::check_children(*this, own);
  }
  void check_children() const {
    check_own_children();
    for_each_child([](const auto& module) { module->check_children(); });
  }

  void pretty_print(std::ostream& stream) const override { stream << "Sequential"; }

  Conv2dNormActivation expansion{nullptr};
  Conv2dNormActivation depthwise{nullptr};
  SqueezeExcitation squeeze{nullptr};
  Conv2dNormActivation projection{nullptr};

 private:
  template <class Visit>
  void for_each_child(Visit visit) const {
    const auto if_any = [&](const auto& module) {
      if (module) visit(module);
    };
    if_any(expansion);
    if_any(depthwise);
    if_any(squeeze);
    if_any(projection);
  }

  InvertedResidualConfig row_;
  BlockPart part_;
  Settings settings_;
};

TORCH_MODULE(Bottleneck);

/// One row of the table as a module: expand, depthwise, squeeze-and-excitation, project, residual.
/// Source  torchvision 0.14.1 models/mobilenetv3.py L52-114.
class InvertedResidualImpl final : public torch::nn::Cloneable<InvertedResidualImpl> {
 public:
  explicit InvertedResidualImpl(const InvertedResidualConfig& row, const Settings& settings = {},
                                BlockPart part = BlockPart::whole)
      : row_(row), settings_(settings), part_(part) {
    reset();
  }

  void reset() override { block = register_module("block", Bottleneck(row_, part_, settings_)); }

  /// Shapes  x: (N, input_channels, H, W). Result: (N, out_channels, H/s, W/s), s the real stride.
  torch::Tensor forward(const torch::Tensor& x) { return contract(expand(x), x); }

  /// Refuses what `replace_module` put among the children, their children included.
  void check_children() const {
    nn::check_children(*this, {block.get()});
    block->check_children();
  }

  /// The first half of `forward`: what the tap `expansion<I>` gives.
  ///
  /// Shapes  x: (N, input_channels, H, W). Result: (N, expanded_channels, H, W).
  torch::Tensor expand(const torch::Tensor& x) {
    nn::check_children(*this, {block.get()});
    block->check_own_children();
    return has_expansion(row_) ? block->expansion->forward(x) : x;
  }

  /// The second half of `forward`, from the expanded input and, for the residual, the input itself.
  /// Neither is written.
  torch::Tensor contract(const torch::Tensor& expanded, const torch::Tensor& x) {
    const double p = is_training() ? drop_path : 0;
    return flow_after_expansion(row_, Steps{row_, *block, p}, expanded, x);
  }

  void pretty_print(std::ostream& stream) const override { stream << "InvertedResidual"; }

  Bottleneck block{nullptr};
  /// Probability that training drops what the block adds to its input; see `set_drop_path`.
  double drop_path = 0;

 private:
  struct Steps {
    const InvertedResidualConfig& row;
    BottleneckImpl& block;
    double drop_path;

    torch::Tensor depthwise(const torch::Tensor& expanded) {
      return block.depthwise->forward(expanded);  // (N, expanded_channels, H/s, W/s)
    }
    torch::Tensor squeeze(torch::Tensor y) { return block.squeeze->forward(std::move(y)); }
    torch::Tensor project(const torch::Tensor& y, const torch::Tensor* residual) {
      torch::Tensor out = block.projection->forward(y);  // (N, out_channels, H/s, W/s)
      if (!residual) return out;
      out = nn::drop_path(out, drop_path);
      // Autograd may need what an activation gave.
      return row.projection_activation == Activation::none ? out.add_(*residual) : out + *residual;
    }
  };

  InvertedResidualConfig row_;
  Settings settings_;
  BlockPart part_;
};

TORCH_MODULE(InvertedResidual);

}  // namespace mnv3
