// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <vector>

#include <torch/nn/module.h>

namespace mnv3::nn {

/// Refuses a child that LibTorch's `replace_module` or `unregister_module` took from its place:
/// `forward` would not see it, but `parameters()`, `save` and optimizers would. `registered` are
/// the children of `owner`, of which `own` must be the one at `index`.
///
/// Errors  c10::Error that names the child and what to do instead.
inline void check_child(const torch::nn::Module& owner,
                        const std::vector<std::shared_ptr<torch::nn::Module>>& registered,
                        std::size_t index, const torch::nn::Module* own) {
  if (index < registered.size() && registered[index].get() == own) return;
  TORCH_CHECK(index < registered.size(), "mnv3: a child of ", owner.name(),
              " was removed by `unregister_module`, but `forward` runs it; make a network whose ",
              "table or taps do without it");
  TORCH_CHECK(false, "mnv3: the child \"", owner.named_children().keys()[index], "\" of ",
              owner.name(), " was replaced by `replace_module`, which `forward`, `channels` and ",
              "`deploy` do not see. For another number of classes there is ",
              "mnv3::replace_classifier, for another end mnv3::WithHead, for other blocks `block` ",
              "in the architecture");
}

/// The same for all children that `forward` runs, in the order of their names; null where there may
/// be anything.
inline void check_children(const torch::nn::Module& owner,
                           std::initializer_list<const torch::nn::Module*> own) {
  const auto registered = owner.children();
  std::size_t i = 0;
  for (const torch::nn::Module* module : own) {
    if (module != nullptr) check_child(owner, registered, i, module);
    ++i;
  }
}

}  // namespace mnv3::nn
