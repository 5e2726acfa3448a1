// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3 {

/// What some files call the tensors of a module, whose own names are torchvision's.
struct KeyScheme {
  Names names = Names::torchvision;  ///< The family whose files do.
  std::string title{};               ///< For the report. Empty: as the module does.

  /// The module's name for a name of the file, what stands before all names being stripped; none if
  /// the family has no such name.
  std::function<std::optional<std::string>(std::string_view)> to_module;
};

namespace weights {

/// The tensors of a whole network, as files of one family have them.
inline std::vector<Key> keys_named(const Definition& net, Names names) {
  std::vector<Key> keys;
  for_each_key(
      net, [&](const Key& key) { keys.push_back(key); }, names);
  return keys;
}

/// What files may call the tensors of `net`; first what those of the family `own` do.
inline std::vector<KeyScheme> key_schemes(const Definition& net, Names own) {
  std::vector<KeyScheme> schemes{
      {.to_module = [](std::string_view name) { return std::string(name); }},
      // torchvision's LR-ASPP ("backbone.0.0.weight") and detection ("backbone.body.0.0.weight")
      // have a backbone that was taken out of them.
      {.title = "without \"features.\"",
       .to_module =
           [](std::string_view name) {
             const bool is_index = !name.empty() && name[0] >= '0' && name[0] <= '9';
             return (is_index ? "features." : "") + std::string(name);
           }},
  };
  const std::vector<Key> ours = keys_named(net, Names::torchvision);
  for (const Dialect& dialect : dialects) {
    if (dialect.names == Names::torchvision) continue;  // the module's own
    std::map<std::string, std::string, std::less<>> to_ours;
    const std::vector<Key> theirs = keys_named(net, dialect.names);
    for (std::size_t i = 0; i < ours.size(); ++i)
      to_ours.emplace(theirs[i].name.view(), ours[i].name.view());
    schemes.push_back({.names = dialect.names,
                       .title = std::string(dialect.title) + "'s",
                       .to_module = [to_ours](std::string_view name) -> std::optional<std::string> {
                         const auto found = to_ours.find(name);
                         if (found == to_ours.end()) return std::nullopt;
                         return found->second;
                       }});
  }
  std::stable_partition(schemes.begin(), schemes.end(),
                        [&](const KeyScheme& scheme) { return scheme.names == own; });
  return schemes;
}

/// A shape in the file as it is in the module: timm's hidden layer is a 1x1 convolution, ours a
/// Linear.
inline std::vector<std::int64_t> without_1x1(std::vector<std::int64_t> shape, std::size_t rank,
                                             const KeyScheme& scheme) {
  while (dialect_of(scheme.names).hidden_is_1x1 && shape.size() > rank && shape.back() == 1)
    shape.pop_back();
  return shape;
}

/// Names and shapes of the tensors that a network needs.
using Wanted = std::map<std::string, std::vector<std::int64_t>, std::less<>>;

/// How a file's names become the network's: what is stripped, and what then becomes of the rest.
struct Naming {
  std::string prefix{};
  std::size_t scheme = 0;   ///< Which of those that were given.
  std::size_t named = 0;    ///< So many of the tensors that are needed are found by name,
  std::size_t fitting = 0;  ///< and so many of these have the right shape.
};

/// All namings by which any tensor is found, those that fit best first. `prefix`: only that one.
inline std::vector<Naming> find_namings(const std::vector<TensorEntry>& entries,
                                        const Wanted& wanted, std::span<const KeyScheme> schemes,
                                        const std::optional<std::string>& prefix) {
  constexpr int max_depth = 8;  // "checkpoint.state_dict.module.backbone." has four
  std::map<std::pair<std::size_t, std::string_view>, Naming> found;
  for (std::size_t scheme = 0; scheme < schemes.size(); ++scheme)
    for (const TensorEntry& entry : entries) {
      const std::string_view name = entry.name;
      const auto try_prefix = [&](std::size_t size) {
        const auto module_name = schemes[scheme].to_module(name.substr(size));
        const auto target = module_name ? wanted.find(*module_name) : wanted.end();
        if (target == wanted.end()) return;
        Naming& naming = found[{scheme, name.substr(0, size)}];
        ++naming.named;
        naming.fitting +=
            target->second == without_1x1(entry.shape, target->second.size(), schemes[scheme]);
      };
      if (prefix) {
        if (name.starts_with(*prefix)) try_prefix(prefix->size());
        continue;
      }
      std::size_t begin = 0;
      for (int depth = 0; depth <= max_depth; ++depth) {
        try_prefix(begin);
        const std::size_t dot = name.find('.', begin);
        if (dot == name.npos) break;
        begin = dot + 1;
      }
    }

  std::vector<Naming> namings;
  for (auto& [key, naming] : found) {
    naming.scheme = key.first;
    naming.prefix = key.second;
    namings.push_back(std::move(naming));
  }
  std::stable_sort(namings.begin(), namings.end(), [](const Naming& a, const Naming& b) {
    return std::pair(a.fitting, a.named) > std::pair(b.fitting, b.named);
  });
  return namings;
}

/// The one naming by which a file fits.
///
/// Errors  WeightsError, without the file's name, if there are several; it lists them.
inline Naming choose_naming(const std::vector<TensorEntry>& entries, const Wanted& wanted,
                            std::span<const KeyScheme> schemes,
                            const std::optional<std::string>& prefix) {
  std::vector<Naming> namings = find_namings(entries, wanted, schemes, prefix);
  if (namings.empty()) return {.prefix = prefix.value_or("")};
  // A scheme is not doubted for another that finds no more: "0.0.weight" is also at the end of
  // "features.1.block.0.0.weight".
  const std::size_t scheme =
      std::max_element(namings.begin(), namings.end(), [](const Naming& a, const Naming& b) {
        return std::pair(a.named, b.scheme) < std::pair(b.named, a.scheme);
      })->scheme;
  std::erase_if(namings, [&](const Naming& naming) { return naming.scheme != scheme; });
  // A part in which nothing is missing is meant, rather than one in which something is. Of parts in
  // which something is missing, those are meant that have half as much as the best, or more.
  const Naming best = namings[0];
  std::erase_if(namings, [&](const Naming& naming) {
    if (best.fitting == wanted.size()) return naming.fitting < best.fitting;
    return 2 * naming.named < best.named;
  });
  if (namings.size() == 1) return best;
  constexpr std::size_t most = 6;
  std::string list;
  for (const Naming& naming : std::span(namings).first(std::min(most, namings.size())))
    list += fmt::format("{}{{.prefix = \"{}\"}} ({} of {} tensors)", list.empty() ? "" : ", ",
                        naming.prefix, naming.named, wanted.size());
  throw WeightsError(fmt::format("{} parts of it could be meant. Say which: {}{}", namings.size(),
                                 list, namings.size() > most ? ", ..." : ""));
}

}  // namespace weights

}  // namespace mnv3
