// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <initializer_list>

#include <torch/nn/module.h>

#include <mnv3/nn/printed_module.hpp>

namespace mnv3::nn {

/// Refuses children that LibTorch's `replace_module`, `unregister_module` or an assigned member
/// took from their places: `forward` and `deploy` would run others than `parameters()`, `save` and
/// optimizers see. `own` are the children as `forward` runs them, in the order of their names; null
/// stands for one that only says what its owner computes.
///
/// Errors  c10::Error that names the child and what to do instead.
template <class Own = std::initializer_list<const torch::nn::Module*>>
void check_children(const torch::nn::Module& owner, const Own& own) {
  const auto registered = owner.children();
  std::size_t i = 0;
  for (const torch::nn::Module* module : own) {
    const bool is_there = i < registered.size();
    const bool is_own =
        is_there && (module != nullptr ? registered[i].get() == module
                                       : registered[i]->as<ParameterlessImpl>() != nullptr);
    TORCH_CHECK(
        is_own, "mnv3: the child ",
        is_there ? "\"" + owner.named_children().keys()[i] + "\"" : "after the last one", " of ",
        owner.name(), " is not the one that this network runs: something was ",
        "replaced by `replace_module`, removed by `unregister_module`, or assigned to a ",
        "member, which `forward`, `channels` and `deploy` do not see. For another number ",
        "of classes there is mnv3::replace_classifier, for another end mnv3::WithHead, for ",
        "other blocks `block` in the architecture");
    ++i;
  }
}

}  // namespace mnv3::nn
