// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <c10/core/TensorImpl.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/serialize.h>
#include <torch/serialize/archive.h>
#include <torch/types.h>

namespace mnv3::train {

/// As LibTorch's own optimizers have them: RMSpropTFOptions(0.064).weight_decay(1e-5).
struct RMSpropTFOptions : public torch::optim::OptimizerCloneableOptions<RMSpropTFOptions> {
  RMSpropTFOptions(double lr = 1e-2) : lr_(lr) {}  // NOLINT: implicit, as in LibTorch
  TORCH_ARG(double, lr);
  /// How much of the mean of squared gradients each step keeps; TensorFlow's `rho`, or `decay`.
  TORCH_ARG(double, alpha) = 0.9;
  TORCH_ARG(double, eps) = 1e-10;
  TORCH_ARG(double, weight_decay) = 0;
  TORCH_ARG(double, momentum) = 0.9;
  TORCH_ARG(bool, centered) = false;
  /// Decays the parameter itself, as AdamW does, and not through its gradient.
  TORCH_ARG(bool, decoupled_decay) = false;
  /// Whether momentum collects steps, as in TensorFlow, or gradients, so that a new rate acts at
  /// once.
  TORCH_ARG(bool, lr_in_momentum) = true;

 public:
  void serialize(torch::serialize::InputArchive& archive) override {
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, lr);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, alpha);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, eps);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, weight_decay);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, momentum);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(bool, centered);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(bool, decoupled_decay);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(bool, lr_in_momentum);
  }
  void serialize(torch::serialize::OutputArchive& archive) const override {
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(lr);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(alpha);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(eps);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(weight_decay);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(momentum);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(centered);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(decoupled_decay);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(lr_in_momentum);
  }
  double get_lr() const override { return lr(); }
  void set_lr(const double lr) override { this->lr(lr); }
};

/// What one parameter has.
struct RMSpropTFParamState
    : public torch::optim::OptimizerCloneableParamState<RMSpropTFParamState> {
  TORCH_ARG(std::int64_t, step) = 0;
  TORCH_ARG(torch::Tensor, square_avg);
  TORCH_ARG(torch::Tensor, momentum_buffer) = {};
  TORCH_ARG(torch::Tensor, grad_avg) = {};

 public:
  void serialize(torch::serialize::InputArchive& archive) override {
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(std::int64_t, step);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(torch::Tensor, square_avg);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(torch::Tensor, momentum_buffer);
    _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(torch::Tensor, grad_avg);
  }
  void serialize(torch::serialize::OutputArchive& archive) const override {
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(step);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(square_avg);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(momentum_buffer);
    _TORCH_OPTIM_SERIALIZE_TORCH_ARG(grad_avg);
  }
};

/// RMSprop as TensorFlow has it, which MobileNetV3 was trained with. Three things differ from
/// `torch::optim::RMSprop`: eps is added before the square root, the mean of squared gradients
/// starts at 1, and the rate is inside the momentum. Recipes written for one do not work with the
/// other.
///
/// Used like LibTorch's optimizers, groups, closures, torch::save and torch::load included.
///
/// Errors  c10::Error for options that are out of range, and for sparse gradients.
/// Source  TensorFlow 2.11 python/training/rmsprop.py, core/kernels/training_ops.cc
///         `ApplyRMSProp`, `ApplyCenteredRMSProp`; timm 0.6 optim/rmsprop_tf.py `RMSpropTF` for the
///         names and the weight decay.
class RMSpropTF : public torch::optim::Optimizer {
 public:
  using Options = RMSpropTFOptions;

  explicit RMSpropTF(std::vector<torch::optim::OptimizerParamGroup> param_groups,
                     RMSpropTFOptions defaults = {})
      : Optimizer(std::move(param_groups), std::make_unique<RMSpropTFOptions>(defaults)) {
    check(defaults);
    for (auto& group : param_groups_) check(options_of(group));
  }
  explicit RMSpropTF(std::vector<torch::Tensor> params, RMSpropTFOptions defaults = {})
      : RMSpropTF({torch::optim::OptimizerParamGroup(std::move(params))}, defaults) {}

  torch::Tensor step(LossClosure closure = nullptr) override {
    const torch::NoGradGuard no_grad;
    torch::Tensor loss;
    if (closure) {
      const torch::AutoGradMode grad(true);
      loss = closure();
    }
    for (auto& group : param_groups_)
      for (torch::Tensor& parameter : group.params())
        if (parameter.grad().defined()) step(parameter, options_of(group));
    return loss;
  }

  void save(torch::serialize::OutputArchive& archive) const override {
    torch::optim::serialize<RMSpropTFParamState, RMSpropTFOptions>(archive, *this);
  }

  /// Errors  c10::Error if the groups or the numbers of their parameters differ.
  void load(torch::serialize::InputArchive& archive) override {
    torch::optim::serialize<RMSpropTFParamState, RMSpropTFOptions>(archive, *this);
    // LibTorch before 2.1 leaves the options alone.
    for (std::size_t i = 0; i < param_groups_.size(); ++i) {
      torch::serialize::InputArchive groups, group, options;
      archive.read("param_groups", groups);
      groups.read("param_groups/" + std::to_string(i), group);
      group.read("options", options);
      options_of(param_groups_[i]).serialize(options);
    }
  }

 private:
  static RMSpropTFOptions& options_of(torch::optim::OptimizerParamGroup& group) {
    return static_cast<RMSpropTFOptions&>(group.options());
  }

  static void check(const RMSpropTFOptions& options) {
    const auto check_range = [](bool is_right, const char* name, double value, const char* range) {
      TORCH_CHECK(is_right, "mnv3: RMSpropTF's ", name, " is ", value, ", but must be ", range);
    };
    check_range(options.lr() >= 0, "lr", options.lr(), "0 or more");
    check_range(options.alpha() >= 0 && options.alpha() <= 1, "alpha", options.alpha(),
                "from 0 to 1");
    check_range(options.eps() >= 0, "eps", options.eps(), "0 or more");
    check_range(options.momentum() >= 0, "momentum", options.momentum(), "0 or more");
    check_range(options.weight_decay() >= 0, "weight_decay", options.weight_decay(), "0 or more");
  }

  /// Where an optimizer's states have the one of a parameter.
  template <class States>
  static auto& place_of(States& states, c10::TensorImpl* parameter) {
    if constexpr (std::is_same_v<typename States::key_type, std::string>) {
      std::ostringstream key;  // LibTorch before 2.2
      key << parameter;
      return states[key.str()];
    } else {
      return states[parameter];
    }
  }

  RMSpropTFParamState& state_of(const torch::Tensor& parameter, const RMSpropTFOptions& options) {
    auto& place = place_of(state(), parameter.unsafeGetTensorImpl());
    if (!place) {
      auto made = std::make_unique<RMSpropTFParamState>();
      made->square_avg(torch::ones_like(parameter));
      place = std::move(made);
    }
    auto& found = static_cast<RMSpropTFParamState&>(*place);
    // They may be switched on later.
    if (options.momentum() > 0 && !found.momentum_buffer().defined())
      found.momentum_buffer(torch::zeros_like(parameter));
    if (options.centered() && !found.grad_avg().defined())
      found.grad_avg(torch::zeros_like(parameter));
    return found;
  }

  void step(torch::Tensor& parameter, const RMSpropTFOptions& options) {
    torch::Tensor gradient = parameter.grad();
    TORCH_CHECK(!gradient.is_sparse(),
                "mnv3: RMSpropTF was given a sparse gradient, which it does not take; use "
                "torch::optim::SGD for embeddings with sparse gradients");
    RMSpropTFParamState& state = state_of(parameter, options);
    state.step(state.step() + 1);
    if (options.weight_decay() != 0) {
      if (options.decoupled_decay())
        parameter.mul_(1 - options.lr() * options.weight_decay());
      else
        gradient = gradient.add(parameter, options.weight_decay());
    }

    const double fresh = 1 - options.alpha();
    torch::Tensor& square_avg = state.square_avg();
    square_avg.add_(gradient.square().sub_(square_avg), fresh);
    torch::Tensor scale;
    if (options.centered()) {
      torch::Tensor& grad_avg = state.grad_avg();
      grad_avg.add_(gradient - grad_avg, fresh);
      scale = square_avg.addcmul(grad_avg, grad_avg, -1).add_(options.eps()).sqrt_();
    } else {
      scale = (square_avg + options.eps()).sqrt_();
    }

    if (options.momentum() > 0) {
      torch::Tensor& buffer = state.momentum_buffer();
      const bool inside = options.lr_in_momentum();
      buffer.mul_(options.momentum()).addcdiv_(gradient, scale, inside ? options.lr() : 1.0);
      parameter.sub_(buffer, inside ? 1.0 : options.lr());
    } else {
      parameter.addcdiv_(gradient, scale, -options.lr());
    }
  }
};

}  // namespace mnv3::train
