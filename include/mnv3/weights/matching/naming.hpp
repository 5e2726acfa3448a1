// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>

namespace mnv3::weights {

/// How a file's names become the network's: what is stripped, and what then becomes of the rest.
struct Naming {
  std::string prefix{};
  std::size_t scheme = 0;   ///< Which of those that were given.
  std::size_t named = 0;    ///< So many of the tensors that are needed are found by name,
  std::size_t fitting = 0;  ///< and so many of these have the right shape.
};

/// All namings by which any tensor is found, those that fit best first. `prefix`: only that one.
inline std::vector<Naming> find_namings(std::span<const NamedEntry> entries, const Wanted& wanted,
                                        std::span<const KeyScheme> schemes,
                                        const std::optional<std::string>& prefix) {
  constexpr int max_depth = 12;  // "checkpoint.state_dict.module.backbone." has four
  const Wrappers wrappers(wanted);
  std::map<std::pair<std::size_t, std::string_view>, Naming> found;
  for (const NamedEntry& entry : entries) {
    const std::string_view name = entry.name;
    const auto try_prefix = [&](std::size_t size) {
      const std::string rest = wrappers.left_out_of(name.substr(size));
      for (std::size_t scheme = 0; scheme < schemes.size(); ++scheme) {
        const auto module_name = schemes[scheme].to_module(rest);
        const auto target = module_name ? wanted.find(*module_name) : wanted.end();
        if (target == wanted.end()) continue;
        Naming& naming = found[{scheme, name.substr(0, size)}];
        ++naming.named;
        naming.fitting += target->second == without_1x1(entry.entry->shape, target->second.size(),
                                                        schemes[scheme]);
      }
    };
    if (prefix) {
      if (name.starts_with(*prefix)) try_prefix(prefix->size());
      continue;
    }
    std::size_t begin = 0;
    for (int depth = 0; depth <= max_depth; ++depth) {
      // A wrapper around everything belongs to the prefix.
      if (!wrappers.begins(name.substr(begin))) try_prefix(begin);
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
inline Naming choose_naming(std::span<const NamedEntry> entries, const Wanted& wanted,
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
  // which something is missing, those are meant that have half as much as the best, or more. What
  // fits hardly anywhere is of another network, and no part of it is meant.
  const Naming best = namings[0];
  if (2 * best.fitting < wanted.size()) return best;
  std::erase_if(namings, [&](const Naming& naming) {
    if (best.fitting == wanted.size()) return naming.fitting < best.fitting;
    return 2 * naming.named < best.named;
  });
  if (namings.size() == 1) return best;
  constexpr std::size_t most = 6;
  std::string list;
  for (const Naming& naming : std::span(namings).first(std::min(most, namings.size())))
    list += fmt::format("{}{{.prefix = \"{}\"}} ({} of {} tensors)", list.empty() ? "" : ", ",
                        printable(naming.prefix), naming.named, wanted.size());
  throw WeightsError(fmt::format("{} parts of it could be meant. Say which: {}{}", namings.size(),
                                 list, namings.size() > most ? ", ..." : ""));
}

}  // namespace mnv3::weights
