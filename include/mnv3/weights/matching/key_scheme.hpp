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
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/names.hpp>

namespace mnv3 {

/// What some files call the tensors of a module, whose own names are torchvision's.
struct KeyScheme {
  const Dialect* dialect = &config::torchvision_dialect;  ///< The family whose files do.
  std::string title{};  ///< For the report. Empty: as the module does.

  /// The module's name for a name of the file, what stands before all names being stripped; none if
  /// the family has no such name.
  std::function<std::optional<std::string>(std::string_view)> to_module =
      [](std::string_view name) { return std::string(name); };
};

namespace weights {

/// "features.3." where that is a block of the user's own, whose names no table tells; else empty.
inline std::string own_block_of(const Definition& net, int feature) {
  return net.has_own_block && is_block(net, feature) ? fmt::format("features.{}.", feature)
                                                     : std::string();
}

/// The tensors of a whole network, as files of one family have them; not those that a block of the
/// user's own has instead.
inline std::vector<Key> keys_named(const Definition& net, const Dialect& dialect) {
  std::vector<Key> keys;
  for_each_key(
      net,
      [&](const Key& key) {
        if (own_block_of(net, feature_at(key.position)).empty()) keys.push_back(key);
      },
      Names{&dialect});
  return keys;
}

/// The families that a file may be of: first that of the network itself, then those that are known,
/// and those that the user adds.
inline std::vector<const Dialect*> families(Names own, std::span<const Dialect* const> added) {
  std::vector<const Dialect*> all{&dialect_of(own)};
  const auto add = [&](const Dialect* dialect) {
    if (dialect->names_of != nullptr && std::ranges::find(all, dialect) == all.end())
      all.push_back(dialect);
  };
  std::ranges::for_each(dialects, add);
  std::ranges::for_each(added, add);
  return all;
}

/// As files of a family with names of its own have them. `prefix`: what the file lacks before the
/// names of a backbone that was taken out of a model; may be empty.
inline KeyScheme scheme_of(const Definition& net, const Dialect& dialect, std::string_view prefix) {
  std::map<std::string, std::string, std::less<>> to_ours;
  const std::vector<Key> ours = keys_named(net, config::torchvision_dialect);
  const std::vector<Key> theirs = keys_named(net, dialect);
  for (std::size_t i = 0; i < ours.size(); ++i)
    to_ours.emplace(theirs[i].name.view(), ours[i].name.view());
  std::string title = fmt::format("{}'s", dialect.title);
  if (!prefix.empty()) title += fmt::format(" without \"{}\"", prefix);
  return {.dialect = &dialect,
          .title = std::move(title),
          .to_module = [to_ours = std::move(to_ours), prefix = std::string(prefix),
                        has_own_block = net.has_own_block](
                           std::string_view name) -> std::optional<std::string> {
            auto found = to_ours.find(name);
            if (found == to_ours.end() && !prefix.empty())
              found = to_ours.find(prefix + std::string(name));
            if (found != to_ours.end()) return found->second;
            // The tensors of a block of one's own have the names that the block gives them.
            if (has_own_block && name.starts_with("features.")) return std::string(name);
            return std::nullopt;
          }};
}

/// As files have them whose names are the module's.
inline KeyScheme module_scheme(std::string_view prefix) {
  if (prefix.empty()) return {};
  return {.title = fmt::format("without \"{}\"", prefix),
          .to_module = [prefix = std::string(prefix)](std::string_view name) {
            const bool is_index = !name.empty() && name[0] >= '0' && name[0] <= '9';
            return (is_index ? prefix : "") + std::string(name);
          }};
}

/// What files may call the tensors of `net`; first what those of the family `own` do.
inline std::vector<KeyScheme> key_schemes(const Definition& net, Names own,
                                          std::span<const Dialect* const> added = {}) {
  std::vector<KeyScheme> schemes;
  for (const Dialect* const dialect : families(own, added)) {
    const auto add = [&](std::string_view prefix) {
      schemes.push_back(dialect == &config::torchvision_dialect
                            ? module_scheme(prefix)
                            : scheme_of(net, *dialect, prefix));
    };
    add({});
    if (!dialect->backbone_prefix.empty()) add(dialect->backbone_prefix);
  }
  return schemes;
}

/// A shape in the file as it is in the module: the hidden layer of some families is a 1x1
/// convolution, ours a Linear.
inline std::vector<std::int64_t> without_1x1(std::vector<std::int64_t> shape, std::size_t rank,
                                             const KeyScheme& scheme) {
  while (scheme.dialect->hidden_is_1x1 && shape.size() > rank && shape.back() == 1)
    shape.pop_back();
  return shape;
}

}  // namespace weights

}  // namespace mnv3
