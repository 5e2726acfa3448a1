// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>
#include <mnv3/weights/state_dict.hpp>

namespace mnv3::weights {

/// The tensors of a network as its own family's files have them: of `tensors`, which are named as
/// in the module.
inline NamedTensors to_file_names(const NamedTensors& tensors, const Definition& net) {
  const std::vector<Key> theirs = keys_named(net, dialect_of(net.settings.names));
  const std::vector<Key> ours = keys_named(net, config::torchvision_dialect);
  std::map<std::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < ours.size(); ++i) by_name.emplace(ours[i].name.view(), i);
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {  // added by the user
      result.emplace_back(name, tensor);
      continue;
    }
    const Key& from = ours[found->second];
    const Key& to = theirs[found->second];
    torch::Tensor shaped = tensor;
    for (std::size_t rank = from.rank; rank < to.rank; ++rank)  // a 1x1 convolution
      shaped = shaped.unsqueeze(-1);
    result.emplace_back(to.name.view(), shaped);
  }
  return result;
}

}  // namespace mnv3::weights
