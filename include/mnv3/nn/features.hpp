// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/layers.hpp>
#include <mnv3/config/position.hpp>
#include <mnv3/config/stages.hpp>
#include <mnv3/config/taps.hpp>
#include <mnv3/nn/children.hpp>
#include <mnv3/nn/conv2d_norm_activation.hpp>
#include <mnv3/nn/feature.hpp>
#include <mnv3/nn/inverted_residual.hpp>
#include <mnv3/nn/own_block.hpp>
#include <mnv3/nn/printed_module.hpp>
#include <mnv3/nn/recompute.hpp>
#include <mnv3/nn/requires_grad.hpp>

namespace mnv3 {

/// The stem, the blocks and the closing convolutions, registered as "0", "1", ..., up to the last
/// one that a tap needs. Like torch::nn::Sequential it can be indexed, iterated and called.
template <architecture Arch, class Taps>
class FeaturesImpl final : public torch::nn::Cloneable<FeaturesImpl<Arch, Taps>> {
 public:
  static constexpr const Definition& net = definition_of<Arch>;
  static constexpr auto tap_info = tap_info_of<Arch, Taps>();
  static constexpr int reach = tap_info.back().position;
  static constexpr int count = features_up_to(net, reach);

  /// The module type of `features.<Index>`.
  template <int Index>
  static consteval auto module_type() {
    if constexpr (!is_block(net, Index))
      return std::type_identity<Conv2dNormActivationImpl>{};
    else if constexpr (has_own_block<Arch>)
      return std::type_identity<nn::own_block<Arch, row_of(net, Index)>>{};
    else
      return std::type_identity<InvertedResidualImpl>{};
  }
  template <int Index>
  using Module = typename decltype(module_type<Index>())::type;

  FeaturesImpl() { reset(); }

  /// The same modules under another type: whatever trains one trains the other.
  template <class OtherArch>
  explicit FeaturesImpl(const FeaturesImpl<OtherArch, Taps>& other)
      : modules_(other.modules_), features_(other.features_), frozen_(other.frozen_) {
    for (std::size_t i = 0; i < features_.size(); ++i)
      this->register_module(std::to_string(i), features_[i].ptr());
    grad_checkpointing = other.grad_checkpointing;
    if (!other.is_training()) this->eval();
  }

  void reset() override {
    for_each_feature(modules_, [this]<int I>(std::shared_ptr<Module<I>>& module) {
      if constexpr (I == 0)
        module = std::make_shared<Module<I>>(stem_of(net), net.settings);
      else if constexpr (!is_block(net, I))
        module = std::make_shared<Module<I>>(closing_of(net, I), net.settings);
      else if constexpr (has_own_block<Arch>)
        module = nn::make_block<Module<I>>(net.settings);
      else
        module = std::make_shared<Module<I>>(
            row_of(net, I), net.settings,
            reach == position_of_expansion(I) ? BlockPart::expansion : BlockPart::whole);
      this->register_module(std::to_string(I), module);
      features_[I] = Feature(module);
    });
    frozen_ = std::make_shared<std::array<bool, count>>();
    for (int i = 0; i < count; ++i)
      if (net.settings.frozen.value().contains(stage_at(net, i))) freeze(i, i + 1);
  }

  /// Runs all features on `x`, which must be normalised already.
  ///
  /// Shapes  x: (N, C, H, W). Result: the output of the last feature.
  torch::Tensor forward(const torch::Tensor& x) { return forward(x, 0, count); }

  /// Runs the features [begin, end) on `x`, which is what `features.<begin>` takes.
  ///
  /// Shapes  Result: the output of `features.<end - 1>`; x itself if the range is empty.
  /// Errors  c10::IndexError if the range is none of this network's.
  torch::Tensor forward(torch::Tensor x, std::int64_t begin, std::int64_t end) {
    check_range(begin, end, "run");
    check_own_children();
    for (std::int64_t i = begin; i < end; ++i) {
      const Feature& feature = features_[static_cast<std::size_t>(i)];
      x = grad_checkpointing && is_block(net, static_cast<int>(i))
              ? recomputed(
                    *feature,
                    [feature](torch::nn::Module&, const torch::Tensor& y) { return feature(y); }, x)
              : feature(x);
    }
    return x;
  }

  /// Keeps the features [begin, end) as they are: their parameters get no gradients, and `train()`
  /// of this module or of what contains it leaves them in evaluation mode, so that batch norm's
  /// statistics stay, dropout and drop path do nothing. Gradients that they have are dropped, or
  /// optimizers would still use them.
  ///
  /// Errors  c10::IndexError if the range is none of this network's.
  void freeze(std::int64_t begin, std::int64_t end) {
    check_range(begin, end, "freeze");
    for (std::int64_t i = begin; i < end; ++i) {
      (*frozen_)[static_cast<std::size_t>(i)] = true;
      nn::set_requires_grad(*module(i), false);
      module(i)->eval();
    }
  }

  /// The contrary: all parameters of the features [begin, end) learn again.
  ///
  /// Errors  As `freeze`; c10::Error if one of them is frozen in the type.
  void unfreeze(std::int64_t begin, std::int64_t end) {
    check_range(begin, end, "unfreeze");
    for (std::int64_t i = begin; i < end; ++i) {
      const Stage stage = stage_at(net, static_cast<int>(i));
      TORCH_CHECK(!net.settings.frozen.value().contains(stage), "mnv3: features.", i,
                  " is in the stage ", name_of(stage), ", which is frozen in the type of this ",
                  "network; unfreeze others, or leave it out of Frozen<...>");
    }
    for (std::int64_t i = begin; i < end; ++i) {
      (*frozen_)[static_cast<std::size_t>(i)] = false;
      nn::set_requires_grad(*module(i), true);
      module(i)->train(this->is_training());
    }
  }

  /// Whether `features.<index>` is frozen.
  ///
  /// Errors  c10::IndexError if there is no such feature.
  bool is_frozen(std::int64_t index) const {
    check_range(index, index + 1, "look at");
    return (*frozen_)[static_cast<std::size_t>(index)];
  }

  /// What is frozen stays in evaluation mode.
  void train(bool on = true) override {
    torch::nn::Module::train(on);
    for (std::size_t i = 0; i < features_.size(); ++i)
      if ((*frozen_)[i]) features_[i]->eval();
  }

  /// Refuses what `replace_module` put among the children, their children included.
  void check_children() const {
    check_own_children();
    for_each_feature(modules_, []<int I>(const std::shared_ptr<Module<I>>& module) {
      if constexpr (requires { module->check_children(); }) module->check_children();
    });
  }

  /// Runs all features on `x` and puts what is tapped among them into `outputs`.
  ///
  /// Shapes  x: (N, C, H, W). Result: the output of the last feature.
  torch::Tensor forward_tapped(torch::Tensor x,
                               std::array<torch::Tensor, tap_info.size()>& outputs) {
    check_own_children();
    for_each_feature(modules_, [&]<int I>(const std::shared_ptr<Module<I>>& module) {
      if constexpr (constexpr int tap = tap_index(tap_info, position_of_expansion(I)); tap >= 0) {
        torch::Tensor expanded = module->expand(x);
        outputs[tap] = expanded;
        if constexpr (reach > position_of_expansion(I)) x = module->contract(expanded, x);
      } else if (grad_checkpointing && is_block(net, I)) {
        x = recomputed(*module, x);
      } else {
        x = module->forward(x);
      }
      if constexpr (constexpr int tap = tap_index(tap_info, position_after(I)); tap >= 0)
        outputs[tap] = x;
    });
    return x;
  }

  /// `features.<Index>`, typed.
  template <int Index>
  auto& at() const {
    constexpr bool exists = Index >= 0 && Index < count;
    static_assert(exists,
                  "mnv3: [feature_in_network] `at<I>()` must name one of the features that "
                  "this network has");
    if constexpr (exists)
      return *std::get<Index>(modules_);
    else
      return config::detail::show<config::feature_error<Index, config::last_is<count - 1>>>(*this);
  }

  std::size_t size() const { return count; }

  /// `features.<index>`.
  ///
  /// Errors  c10::IndexError if there is no such feature.
  const Feature& operator[](std::int64_t index) const {
    TORCH_CHECK_INDEX(0 <= index && index < count, "mnv3: this network has the features 0 to ",
                      count - 1, ", but was asked for feature ", index);
    return features_[static_cast<std::size_t>(index)];
  }
  const Feature* begin() const { return features_.data(); }
  const Feature* end() const { return features_.data() + count; }

  void pretty_print(std::ostream& stream) const override { stream << "Sequential"; }

  std::shared_ptr<torch::nn::Module> clone(nn::CloneDevice device = {}) const override {
    auto copy = torch::nn::Cloneable<FeaturesImpl>::clone(device);
    // LibTorch copies the tensors of `Cloneable`s only.
    if constexpr (has_own_block<Arch>) nn::copy_state(*this, *copy, device);
    nn::copy_requires_grad(*this, *copy);
    *dynamic_cast<FeaturesImpl&>(*copy).frozen_ = *frozen_;
    return copy;
  }

  /// Whether training keeps of each block only its input, and computes the rest once more when
  /// gradients are needed: less memory for more time. A block whose expansion is tapped is kept.
  bool grad_checkpointing = false;

 private:
  template <architecture OtherArch, class OtherTaps>
  friend class FeaturesImpl;

  void check_own_children() const {
    std::array<const torch::nn::Module*, count> own{};
    for (std::size_t i = 0; i < own.size(); ++i) own[i] = features_[i].ptr().get();
    nn::check_children(*this, own);
  }
  static void check_range(std::int64_t begin, std::int64_t end, const char* what) {
    TORCH_CHECK_INDEX(0 <= begin && begin <= end && end <= count, "mnv3: this network has the ",
                      "features 0 to ", count - 1, ", but was asked to ", what, " [", begin, ", ",
                      end, "); a range begins at 0 or later and ends at ", count, " or before");
  }
  const std::shared_ptr<torch::nn::Module>& module(std::int64_t i) const {
    return features_[static_cast<std::size_t>(i)].ptr();
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
  std::array<Feature, count> features_;              // the same modules
  std::shared_ptr<std::array<bool, count>> frozen_;  // of the modules, which others may share
};

/// Holder of `FeaturesImpl`.
template <architecture Arch, class Taps>
class Features : public torch::nn::ModuleHolder<FeaturesImpl<Arch, Taps>> {
  using Base = torch::nn::ModuleHolder<FeaturesImpl<Arch, Taps>>;

 public:
  using Impl = FeaturesImpl<Arch, Taps>;
  using Base::Base;

  std::size_t size() const { return (*this)->size(); }
  const Feature& operator[](std::int64_t index) const { return (**this)[index]; }
  const Feature* begin() const { return (*this)->begin(); }
  const Feature* end() const { return (*this)->end(); }
};

}  // namespace mnv3
