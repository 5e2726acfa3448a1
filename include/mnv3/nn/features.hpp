// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <torch/nn/cloneable.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/nn/conv2d_norm_activation.hpp>
#include <mnv3/nn/inverted_residual.hpp>
#include <mnv3/nn/module_tree.hpp>

namespace mnv3 {

/// The stem, the blocks and the closing convolutions, registered as "0", "1", ..., up to the last
/// one that a tap needs.
template <architecture Arch, class Taps>
class FeaturesImpl final : public torch::nn::Cloneable<FeaturesImpl<Arch, Taps>> {
 public:
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr auto tap_info = tap_info_of<Arch, Taps>();
  static constexpr int reach = tap_info.back().position;
  static constexpr int count = features_up_to(net, reach);

  /// The module type of `features.<Feature>`.
  template <int Feature>
  static consteval auto module_type() {
    if constexpr (!is_block(net, Feature))
      return std::type_identity<Conv2dNormActivationImpl>{};
    else
      return std::type_identity<InvertedResidualImpl<
          row_of(net, Feature),
          reach == position_of_expansion(Feature) ? BlockPart::expansion : BlockPart::whole>>{};
  }
  template <int Feature>
  using Module = typename decltype(module_type<Feature>())::type;

  FeaturesImpl() { reset(); }

  void reset() override {
    for_each_feature(modules_, [this]<int I>(std::shared_ptr<Module<I>>& module) {
      if constexpr (I == 0)
        module = std::make_shared<Module<I>>(stem_of(net), net.settings);
      else if constexpr (is_block(net, I))
        module = std::make_shared<Module<I>>(net.settings);
      else
        module = std::make_shared<Module<I>>(closing_of(net, I), net.settings);
      this->register_module(std::to_string(I), module);
    });
  }

  /// Runs all features on `x` and puts what is tapped among them into `outputs`.
  ///
  /// Shapes  x: (N, C, H, W). Result: the output of the last feature.
  torch::Tensor forward(torch::Tensor x, std::array<torch::Tensor, tap_info.size()>& outputs) {
    for_each_feature(modules_, [&]<int I>(const std::shared_ptr<Module<I>>& module) {
      if constexpr (constexpr int tap = tap_index(position_of_expansion(I)); tap >= 0) {
        torch::Tensor expanded = module->expand(x);
        outputs[tap] = expanded;
        if constexpr (reach > position_of_expansion(I)) x = module->contract(expanded, x);
      } else {
        x = module->forward(x);
      }
      if constexpr (constexpr int tap = tap_index(position_after(I)); tap >= 0) outputs[tap] = x;
    });
    return x;
  }

  /// `features.<Feature>`, typed.
  template <int Feature>
  Module<Feature>& at() {
    return *std::get<Feature>(modules_);
  }

  void print(ModuleTree& tree, std::string_view key) const {
    tree.open(key, "Sequential");
    for_each_feature(modules_, [&]<int I>(const std::shared_ptr<Module<I>>& module) {
      module->print(tree, std::to_string(I));
    });
    tree.close();
  }

 private:
  static constexpr int tap_index(int position) {
    for (std::size_t i = 0; i < tap_info.size(); ++i)
      if (tap_info[i].position == position) return static_cast<int>(i);
    return -1;
  }

  template <class Indices>
  struct ModuleTuple;
  template <int... I>
  struct ModuleTuple<std::integer_sequence<int, I...>> {
    using type = std::tuple<std::shared_ptr<Module<I>>...>;
  };
  using Indices = std::make_integer_sequence<int, count>;

  /// Calls `visit.operator()<I>(pointer to features.I)` for each feature, in order.
  template <class Modules, class Visit>
  static void for_each_feature(Modules& modules, Visit&& visit) {
    [&]<int... I>(std::integer_sequence<int, I...>) {
      (visit.template operator()<I>(std::get<I>(modules)), ...);
    }
    (Indices{});
  }

  typename ModuleTuple<Indices>::type modules_;
};

}  // namespace mnv3
