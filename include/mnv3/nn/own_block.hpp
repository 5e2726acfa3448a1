// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/block.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/settings.hpp>

// Blocks that an architecture brings itself: torchvision's argument `block`.

namespace mnv3::nn {

/// The module class of a block that is given as such or as its holder.
template <class Block>
struct impl_of {
  using type = Block;
};
template <class Holder>
requires requires { typename Holder::ContainedType; }
struct impl_of<Holder> {
  using type = typename Holder::ContainedType;
};

/// The module class of the block of `Arch` for a row. (A class, not only an alias, for g++ 12.)
template <class Arch, InvertedResidualConfig Row>
struct own_block_of {
  using Block = typename Arch::template block<Row>;
  using type = typename impl_of<Block>::type;
};
template <class Arch, InvertedResidualConfig Row>
using own_block = typename own_block_of<Arch, Row>::type;

template <class Block>
concept block_module = std::derived_from<Block, torch::nn::Module> &&
    (std::constructible_from<Block, const Settings&> ||
     std::default_initializable<Block>)&&requires(Block block, const torch::Tensor x) {
  { block.forward(x) } -> std::convertible_to<torch::Tensor>;
};

/// Refuses to compile where the blocks of `Arch` are no modules that can be made and called. Always
/// true.
template <architecture Arch>
constexpr bool verify_own_block() {
  if constexpr (has_own_block<Arch>) {
    using Block = own_block<Arch, definition_of<Arch>.blocks[0]>;
    static_assert(
        block_module<Block>,
        "mnv3: [block_is_module] `block<Row>` must be a torch::nn::Module, or its holder, "
        "that is made from `const mnv3::Settings&` or from nothing and has "
        "`torch::Tensor forward(torch::Tensor)`");
    if constexpr (!block_module<Block>) config::detail::show<config::block_error<Arch, Block>>();
  }
  return true;
}

template <architecture Arch>
constexpr bool is_own_block_valid() {
  if constexpr (has_own_block<Arch>)
    return block_module<own_block<Arch, definition_of<Arch>.blocks[0]>>;
  else
    return true;
}

/// Makes a block, from the settings if it takes them.
template <block_module Block>
std::shared_ptr<Block> make_block(const Settings& settings) {
  if constexpr (std::constructible_from<Block, const Settings&>)
    return std::make_shared<Block>(settings);
  else
    return std::make_shared<Block>();
}

/// Gives `to`, a clone of `from`, the values and the modes of `from`, on `device` if there is one.
template <class Device>
void copy_state(const torch::nn::Module& from, torch::nn::Module& to, const Device& device) {
  const auto copy = [&](const auto& source, auto&& target) {
    for (const auto& item : source)
      if (torch::Tensor* const found = target.find(item.key())) {
        const torch::Tensor value = item.value().detach();
        found->set_data(device ? value.to(*device, value.scalar_type(), /*non_blocking=*/false,
                                          /*copy=*/true)
                               : value.clone());
      }
  };
  copy(from.named_parameters(), to.named_parameters());
  copy(from.named_buffers(), to.named_buffers());
  const auto modes = from.modules(/*include_self=*/false);
  const auto modules = to.modules(/*include_self=*/false);  // each before its children
  for (std::size_t i = 0; i < modes.size() && i < modules.size(); ++i)
    modules[i]->train(modes[i]->is_training());
}

}  // namespace mnv3::nn
