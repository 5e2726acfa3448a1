// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/stages.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/nn/with_head.hpp>

namespace mnv3 {

/// How the parameters of a network are to learn.
struct ParamGroupOptions {
  double lr = 1e-3;         ///< Of the classifier.
  double layer_decay = 1;   ///< Each stage before it has this times the rate of the one after it.
  double weight_decay = 0;  ///< Of weights with two dimensions or more: not of norms and biases.
};

namespace train {

/// Parameters with one rate, before they are an optimizer's.
struct RatedParameters {
  double scale;  ///< Of the rate.
  std::vector<torch::Tensor> weights, others;
};

/// What several modules share counts where it is first.
using Seen = std::unordered_set<const void*>;
inline void append(RatedParameters& group, const torch::nn::Module& module, Seen& seen) {
  for (const torch::Tensor& parameter : module.parameters())
    if (seen.insert(parameter.unsafeGetTensorImpl()).second)
      (parameter.dim() > 1 ? group.weights : group.others).push_back(parameter);
}

/// All parameters that the type does not freeze, by stage.
template <class Arch, class Taps>
std::vector<RatedParameters> by_stage(const MobileNetV3<Arch, Taps>& net, double layer_decay,
                                      Seen& seen) {
  constexpr const Definition& definition = definition_of<Arch>;
  constexpr int end = static_cast<int>(last_stage(definition)) + 1;
  const StageSet frozen = definition.settings.frozen;
  net->check_children();
  std::vector<RatedParameters> groups;
  for (int i = 0; i < end; ++i)
    groups.push_back({.scale = std::pow(layer_decay, end - i), .weights = {}, .others = {}});
  for (int i = 0; i < static_cast<int>(net->features->size()); ++i)
    if (const Stage stage = stage_at(definition, i); !frozen.contains(stage))
      append(groups[static_cast<std::size_t>(stage)], *net->features[i], seen);
  groups.push_back({.scale = 1, .weights = {}, .others = {}});
  if constexpr (MobileNetV3Impl<Arch, Taps>::has_classifier)
    if (!frozen.contains(Stage::classifier)) append(groups.back(), *net->classifier, seen);
  return groups;
}
template <class Backbone, class Head>
std::vector<RatedParameters> by_stage(const WithHead<Backbone, Head>& net, double layer_decay,
                                      Seen& seen) {
  net->check_children();
  std::vector<RatedParameters> groups = by_stage(net->backbone, layer_decay, seen);
  groups.push_back({.scale = 1, .weights = {}, .others = {}});
  append(groups.back(), *net->head, seen);
  return groups;
}

/// The options of an optimizer: of LibTorch's that have groups, and of those that say `Options`.
template <class Optimizer>
struct options_of {
  static_assert(std::same_as<Optimizer, void>,
                "mnv3: groups of parameters are for SGD, Adam, AdamW, RMSprop, Adagrad, and for "
                "optimizers with a type `Options` that has `lr` and `weight_decay`; LBFGS has one "
                "group: give it net->parameters()");
};
template <class Optimizer>
requires requires { typename Optimizer::Options; }
struct options_of<Optimizer> {
  using type = typename Optimizer::Options;
};
template <>
struct options_of<torch::optim::SGD> {
  using type = torch::optim::SGDOptions;
};
template <>
struct options_of<torch::optim::Adam> {
  using type = torch::optim::AdamOptions;
};
template <>
struct options_of<torch::optim::AdamW> {
  using type = torch::optim::AdamWOptions;
};
template <>
struct options_of<torch::optim::RMSprop> {
  using type = torch::optim::RMSpropOptions;
};
template <>
struct options_of<torch::optim::Adagrad> {
  using type = torch::optim::AdagradOptions;
};

}  // namespace train

/// The parameters of `net` for an optimizer of LibTorch's whose options are `Options`: for each
/// stage, from the stem to the classifier, its weights, which decay, and its norms and biases,
/// which do not. Each group has its rate. `base` says everything else, momentum for example; its own rate and
/// weight decay do not count.
///
/// Every parameter is in one group, but for those that the type freezes. What `freeze` has frozen
/// is in them, too, for when it is unfrozen: optimizers pass over what has no gradient.
///
/// `Options` must be those of the optimizer, which LibTorch does not check: `make_optimizer` does.
///
/// Errors  c10::Error if a value is negative or no number, or `layer_decay` 0.
/// Source  timm 1.0.29 optim/_param_groups.py (`param_groups_layer_decay`), by stage for by block.
template <class Options = torch::optim::AdamWOptions, class Network>
std::vector<torch::optim::OptimizerParamGroup> param_groups(const Network& net,
                                                            const ParamGroupOptions& options = {},
                                                            const Options& base = Options()) {
  const auto [lr, layer_decay, weight_decay] = options;
  TORCH_CHECK(lr >= 0 && layer_decay > 0 && weight_decay >= 0,
              "mnv3: rates and weight decay are 0 or more and layer_decay is above 0, but lr is ",
              lr, ", layer_decay ", layer_decay, " and weight_decay ", weight_decay);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  train::Seen seen;
  for (train::RatedParameters& rated : train::by_stage(net, layer_decay, seen))
    for (auto& [parameters, decay] :
         {std::pair(&rated.weights, weight_decay), std::pair(&rated.others, 0.0)}) {
      if (parameters->empty()) continue;
      auto own = std::make_unique<Options>(base);
      own->lr(lr * rated.scale);
      own->weight_decay(decay);
      groups.emplace_back(std::move(*parameters), std::move(own));
    }
  return groups;
}

/// An optimizer for `net` with the groups of `param_groups`:
///
///   auto optimizer = mnv3::make_optimizer<torch::optim::SGD>(
///       net, {.lr = 0.1, .weight_decay = 1e-4}, torch::optim::SGDOptions(0.1).momentum(0.9));
///
/// Errors  As `param_groups`.
template <class Optimizer, class Network>
Optimizer make_optimizer(const Network& net, const ParamGroupOptions& options = {},
                         const typename train::options_of<Optimizer>::type& base =
                             typename train::options_of<Optimizer>::type(1e-3)) {
  auto defaults = base;
  defaults.lr(options.lr);
  return Optimizer(param_groups(net, options, base), defaults);
}

}  // namespace mnv3
