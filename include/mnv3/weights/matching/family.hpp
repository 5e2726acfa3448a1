// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/matching/naming.hpp>
#include <mnv3/weights/state_dict.hpp>

// Whose names a checkpoint has, and what that says of the network it is of.

namespace mnv3 {

/// A file with weights of the architecture `Arch`: with it, `load` checks at compile time that they
/// mean the same in the network.
template <architecture Arch>
struct WeightsOf {
  std::filesystem::path path;
};

namespace weights {

/// What refuses a file whose names, after `prefix`, are those of a network that none of ours
/// computes. Empty: nothing does.
/// Source  d-li14/mobilenetv3.pytorch mobilenetv3.py: `features.4.conv.5.fc.0.weight`.
inline std::string_view reason_against(std::span<const TensorEntry> entries,
                                       std::string_view prefix) {
  for (const TensorEntry& entry : entries) {
    const std::string_view name = entry.name;
    if (name.starts_with(prefix) && name.substr(prefix.size()).starts_with("features.") &&
        name.find(".conv.") != name.npos && name.ends_with(".fc.0.weight"))
      return "its names are those of d-li14/mobilenetv3.pytorch, where squeeze-and-excitation is "
             "before the activation; every network here has it after, as torchvision and timm "
             "do, and would give other numbers. Use weights of torchvision or timm";
  }
  return {};
}

inline std::string described_conventions(double eps, Padding padding) {
  return fmt::format("`norm_eps` {:g} and {} padding", eps,
                     padding == Padding::same ? "TensorFlow's `same`" : "symmetric");
}

/// What is wrong with a file that has these names for `net`, whose own are others. Empty where what
/// is published under them computes as `net` does.
inline std::string difference_from(const Definition& net, Names names) {
  const Dialect& dialect = dialect_of(names);
  const double eps = norm_eps_of(net.settings);
  const Padding padding = net.settings.padding;
  std::string theirs;
  for (const PublishedConventions& c : dialect.published) {
    if (c.norm_eps == eps && c.padding == padding) return {};
    theirs += (theirs.empty() ? "" : ", or ") + described_conventions(c.norm_eps, c.padding);
  }
  return fmt::format(
      "\n  it has {0}'s names, and what {0} publishes computes with {1}; this network has {2}, and "
      "the same weights would give other numbers. Use the architecture that they are of{3}, or "
      "allow_other_family",
      dialect.title, theirs, described_conventions(eps, padding),
      dialect.architectures.empty() ? "" : fmt::format(" ({})", dialect.architectures));
}

/// The tensors of a network as its own family's files have them: of `tensors`, which are named as
/// in the module.
inline NamedTensors to_file_names(const NamedTensors& tensors, const Definition& net) {
  const std::vector<Key> theirs = keys_named(net, net.settings.names);
  const std::vector<Key> ours = keys_named(net, Names::torchvision);
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
    torch::Tensor shaped = tensor;  // of any rank: it may be a user's block that has this name
    for (std::size_t rank = from.rank; rank < to.rank; ++rank)  // a 1x1 convolution
      shaped = shaped.unsqueeze(-1);
    result.emplace_back(to.name.view(), shaped);
  }
  return result;
}

}  // namespace weights

}  // namespace mnv3
