// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>

namespace mnv3::weights {

/// How a file's names become the network's: what is stripped, and what then becomes of the rest.
struct Naming {
  std::string prefix{};
  std::size_t scheme = 0;   ///< Which of those that were given.
  std::size_t named = 0;    ///< So many of the tensors that are needed are found by name,
  std::size_t fitting = 0;  ///< so many of these have the right shape,
  std::size_t known = 0;    ///< and so many names are the whole network's, needed or not.
};

/// Looks up what names of a file are in any scheme. Batch norm's counters do not count: a file may
/// have none of them.
class NameIndex {
 public:
  NameIndex(const Wanted& wanted, std::span<const KeyScheme> schemes) {
    for (std::size_t scheme = 0; scheme < schemes.size(); ++scheme) {
      for (const auto& [in_file, in_module] : schemes[scheme].names)
        add(in_file, scheme, wanted.find(in_module), wanted.end());
      for (auto target = wanted.begin(); target != wanted.end(); ++target)
        if (schemes[scheme].to_module(target->first) == target->first &&
            !schemes[scheme].names.contains(target->first))
          add(target->first, scheme, target, wanted.end());
    }
    std::vector<std::string_view> names;
    for (const auto& [name, places] : places_) names.push_back(name);
    wrappers_ = words_outside(names, wrapper_segments);
  }

  struct Place {
    std::size_t scheme = 0;
    const std::vector<std::int64_t>* shape = nullptr;  ///< None: the network has it elsewhere.
  };

  std::span<const Place> find(std::string_view name) const {
    const auto found = places_.find(name);
    return found == places_.end() ? std::span<const Place>() : found->second;
  }
  std::size_t longest() const { return longest_; }
  std::span<const std::string_view> wrappers() const { return wrappers_; }

 private:
  void add(std::string_view in_file, std::size_t scheme, Wanted::const_iterator target,
           Wanted::const_iterator end) {
    if (is_batch_counter(in_file)) return;
    places_[in_file].push_back({scheme, target == end ? nullptr : &target->second});
    longest_ = std::max(longest_, in_file.size());
  }

  // Hashed: its keys are ours, not the file's.
  std::unordered_map<std::string_view, std::vector<Place>> places_;
  std::vector<std::string_view> wrappers_;
  std::size_t longest_ = 0;
};

/// All namings by which any tensor is found, those that fit best first. `prefix`: only that one.
inline std::vector<Naming> find_namings(std::span<const NamedEntry> entries, const Wanted& wanted,
                                        std::span<const KeyScheme> schemes,
                                        const std::optional<std::string>& prefix) {
  const NameIndex index(wanted, schemes);
  std::map<std::pair<std::size_t, std::string_view>, Naming> found;
  for (const NamedEntry& entry : entries) {
    const auto count = [&](std::string_view rest, std::string_view before) {
      for (const NameIndex::Place& place : index.find(rest)) {
        Naming& naming = found[{place.scheme, before}];
        ++naming.known;
        if (place.shape == nullptr) continue;
        ++naming.named;
        naming.fitting += *place.shape == without_1x1(entry.entry->shape, place.shape->size(),
                                                      schemes[place.scheme]);
      }
    };
    if (!prefix) {
      // A wrapper around everything belongs to the prefix.
      for_each_rest(entry.name, index.wrappers(), index.longest(), count);
    } else if (entry.name.starts_with(*prefix)) {
      const std::string_view name = entry.name;
      count(unwrapped(name.substr(prefix->size()), index.wrappers()), *prefix);
    }
  }

  std::vector<Naming> namings;
  for (auto& [key, naming] : found) {
    if (naming.named == 0) continue;
    naming.scheme = key.first;
    naming.prefix = key.second;
    namings.push_back(std::move(naming));
  }
  std::stable_sort(namings.begin(), namings.end(), [](const Naming& a, const Naming& b) {
    return std::pair(a.fitting, a.named) > std::pair(b.fitting, b.named);
  });
  return namings;
}

/// How many tensors are to be found by name: all but batch norm's counters.
inline std::size_t count_of(const Wanted& wanted) {
  return static_cast<std::size_t>(std::ranges::count_if(
      wanted, [](const auto& item) { return !is_batch_counter(item.first); }));
}

/// The one naming by which a file fits.
///
/// @param guesses  Whether what fits less than half may be taken: then it must not be ambiguous.
///
/// Errors  WeightsError, without the file's name, if there are several; it lists them.
inline Naming choose_naming(std::span<const NamedEntry> entries, const Wanted& wanted,
                            std::span<const KeyScheme> schemes,
                            const std::optional<std::string>& prefix, bool guesses = false) {
  std::vector<Naming> namings = find_namings(entries, wanted, schemes, prefix);
  const std::size_t all = count_of(wanted);
  if (namings.empty()) return {.prefix = prefix.value_or("")};
  // A scheme is not doubted for another that finds no more: "0.0.weight" is also at the end of
  // "features.1.block.0.0.weight". Of two that find as much, one knows more of what is left.
  const std::size_t scheme =
      std::max_element(namings.begin(), namings.end(), [](const Naming& a, const Naming& b) {
        return std::tuple(a.named, a.known, b.scheme) < std::tuple(b.named, b.known, a.scheme);
      })->scheme;
  std::erase_if(namings, [&](const Naming& naming) { return naming.scheme != scheme; });
  // A part in which nothing is missing is meant, rather than one in which something is. Of parts in
  // which something is missing, those are meant that have half as much as the best, or more. What
  // fits hardly anywhere is of another network, and no part of it is meant.
  const Naming best = namings[0];
  if (2 * best.fitting < all && !guesses) return best;
  std::erase_if(namings, [&](const Naming& naming) {
    if (best.fitting == all) return naming.fitting < best.fitting;
    return 2 * naming.named < best.named;
  });
  if (namings.size() == 1) return best;
  constexpr std::size_t most = 6;
  std::string list;
  for (const Naming& naming : std::span(namings).first(std::min(most, namings.size())))
    list += text(list.empty() ? "" : ", ", "{.prefix = \"", printable(naming.prefix), "\"} (",
                 naming.named, " of ", all, " tensors)");
  throw WeightsError(text(namings.size(), " parts of it could be meant. Say which: ", list,
                          namings.size() > most ? ", ..." : ""));
}

}  // namespace mnv3::weights
