// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <ostream>
#include <tuple>
#include <type_traits>
#include <utility>

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <mnv3/nn/children.hpp>
#include <mnv3/nn/own_block.hpp>
#include <mnv3/nn/printed_module.hpp>
#include <mnv3/nn/requires_grad.hpp>

namespace mnv3 {

namespace nn {

/// What `head.forward` gives for the outputs of a backbone: a tensor, or an array that it takes as
/// such or as one argument each.
template <class Head>
auto run_head(Head& head, const torch::Tensor& x) {
  if constexpr (requires { head.forward(x); })
    return head.forward(x);
  else
    return head.forward(std::array{x});
}
template <class Head, std::size_t N>
auto run_head(Head& head, const std::array<torch::Tensor, N>& xs) {
  if constexpr (requires { head.forward(xs); })
    return head.forward(xs);
  else
    return std::apply([&](const auto&... x) { return head.forward(x...); }, xs);
}

/// Whether `Head`, the class of a module, has a `forward` for what a backbone gives.
template <class Head, class Backbone>
concept head_for = std::derived_from<Head, torch::nn::Module> &&
    requires(Head head, typename Backbone::Impl backbone, const torch::Tensor x) {
  run_head(head, backbone.forward(x));
};

}  // namespace nn

/// A backbone and a head on its taps as one module, with the children "backbone" and "head".
template <class Backbone, class Head>
class WithHeadImpl final : public torch::nn::Module {
 public:
  using HeadImpl = typename nn::impl_of<Head>::type;
  static_assert(nn::head_for<HeadImpl, Backbone>,
                "mnv3: a head must be a torch::nn::Module, or its holder, with a `forward` that "
                "takes one tensor for each tap of the backbone, or a std::array of them");

  /// Shares both.
  WithHeadImpl(const Backbone& the_backbone, std::shared_ptr<HeadImpl> the_head)
      : backbone(the_backbone), head(std::move(the_head)) {
    register_module("backbone", backbone);
    register_module("head", head);
  }

  WithHeadImpl(const Backbone& the_backbone,
               const Head& the_head) requires(!std::same_as<Head, HeadImpl>)
      : WithHeadImpl(the_backbone, the_head.ptr()) {}

  /// Shapes  x: what the backbone takes. Result: what the head gives for its taps.
  /// Errors  As the two forwards.
  auto forward(const torch::Tensor& x) {
    check_own_children();
    return nn::run_head(*head, backbone->forward(x));
  }

  /// A deep copy; what is frozen stays frozen.
  ///
  /// Errors  c10::Error if the head cannot be cloned: it must derive from torch::nn::Cloneable.
  std::shared_ptr<torch::nn::Module> clone(nn::CloneDevice device = {}) const override {
    check_children();
    auto copied_head = std::dynamic_pointer_cast<HeadImpl>(head->clone(device));
    nn::copy_requires_grad(*head, *copied_head);
    auto copied = std::dynamic_pointer_cast<typename Backbone::Impl>(backbone->clone(device));
    auto copy = std::make_shared<WithHeadImpl>(Backbone(copied), copied_head);
    if (!this->is_training()) copy->eval();
    return copy;
  }

  /// Refuses what `replace_module` put among the children, those of the backbone included.
  void check_children() const {
    check_own_children();
    backbone->check_children();
  }

  void pretty_print(std::ostream& stream) const override { stream << "WithHead"; }

  Backbone backbone;
  std::shared_ptr<HeadImpl> head;

 private:
  void check_own_children() const { nn::check_children(*this, {backbone.get(), head.get()}); }

  // What `Cloneable` does for modules with `reset`: this one within a module that is cloned.
  void clone_(torch::nn::Module& other, nn::CloneDevice device) override {
    *this = std::move(dynamic_cast<WithHeadImpl&>(*other.clone(device)));
  }
};

/// A backbone with a head of your own on its taps: `WithHead net(encoder, head)`, a module holder
/// that shares both. A head is a module's holder, or a shared pointer to a module. `save`, `load`,
/// `param_groups` and `deploy` take it as one; `freeze` and weights for the backbone alone take
/// `net->backbone`.
template <class Backbone, class Head>
class WithHead : public torch::nn::ModuleHolder<WithHeadImpl<Backbone, Head>> {
  using Base = torch::nn::ModuleHolder<WithHeadImpl<Backbone, Head>>;

 public:
  using Impl = WithHeadImpl<Backbone, Head>;
  using Base::Base;

  /// A deep copy, typed.
  WithHead clone() const { return typed((*this)->clone()); }
  /// The same, on `device`.
  WithHead clone(torch::Device device) const { return typed((*this)->clone(device)); }

 private:
  static WithHead typed(const std::shared_ptr<torch::nn::Module>& module) {
    return WithHead(std::dynamic_pointer_cast<Impl>(module));
  }
};

template <class Backbone, class Head>
WithHead(const Backbone&, const Head&) -> WithHead<Backbone, Head>;
template <class Backbone, class Head>
WithHead(const Backbone&, const std::shared_ptr<Head>&) -> WithHead<Backbone, Head>;

}  // namespace mnv3
