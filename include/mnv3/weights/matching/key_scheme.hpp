// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/norm.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// "features.3." where that is a block of the user's own, whose names no table tells; else empty.
inline std::string own_block_of(const Definition& net, int feature) {
  return net.has_own_block && is_block(net, feature) ? text("features.", feature, '.')
                                                     : std::string();
}

/// The tensors of a whole network, as files of one family have them; not those that a block of the
/// user's own has instead.
///
/// Errors  WeightsError if the family's names are too long, or it has none.
inline std::vector<Key> keys_named(const Definition& net, const Dialect& dialect) {
  if (dialect.names_of == nullptr)
    throw WeightsError(text("the family \"", dialect.title, "\" has no names_of"));
  std::vector<Key> keys;
  try {
    for_each_key(
        net,
        [&](const Key& key) {
          if (own_block_of(net, feature_at(key.position)).empty()) keys.push_back(key);
        },
        Names{&dialect});
  } catch (const std::length_error&) {
    throw WeightsError(text("a name of the family \"", dialect.title, "\" has more than ",
                            Name::capacity, " characters"));
  }
  return keys;
}

/// What some files call the tensors of a module, whose own names are torchvision's.
struct KeyScheme {
  const Dialect* dialect = &config::torchvision_dialect;  ///< The family whose files do.
  std::string title{};     ///< For the report. Empty: as the module does.
  std::string stripped{};  ///< What the file lacks before the names of a backbone.
  /// The file's names, what stands before all being stripped, and the module's for each: of the
  /// whole network, whatever a module needs of it.
  std::map<std::string, std::string, std::less<>> names{};
  bool keeps_names = true;                ///< Names that are not listed are the module's own,
  std::vector<std::string> own_blocks{};  ///< or those in these: "features.1.".

  /// The module's name for a name of the file; none if the family has no such name.
  std::optional<std::string> to_module(std::string_view name) const {
    if (const auto found = names.find(name); found != names.end()) return found->second;
    if (keeps_names || is_in_own_block(name)) return std::string(name);
    if (stripped == "features.")
      if (std::string whole = stripped + std::string(name); is_in_own_block(whole)) return whole;
    return std::nullopt;
  }

 private:
  bool is_in_own_block(std::string_view name) const {
    return std::ranges::any_of(own_blocks,
                               [&](const std::string& block) { return name.starts_with(block); });
  }
};

/// As files of a family have them. `prefix`: what the file lacks before the names of a backbone that
/// was taken out of a model; may be empty.
inline KeyScheme scheme_of(Definition net, const Dialect& dialect, std::string_view prefix) {
  // Frozen or not, a file may have batch norm's counters.
  if (net.settings.norm == Norm::frozen_batch) net.settings.norm = Norm::batch;
  const bool is_own = &dialect == &config::torchvision_dialect;
  KeyScheme scheme{.dialect = &dialect,
                   .stripped = std::string(prefix),
                   .keeps_names = is_own && prefix.empty()};
  for (int i = 1; is_block(net, i); ++i)
    if (std::string block = own_block_of(net, i); !block.empty())
      scheme.own_blocks.push_back(std::move(block));
  const std::vector<Key> ours = keys_named(net, config::torchvision_dialect);
  const std::vector<Key> theirs = keys_named(net, dialect);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const std::string_view name = theirs[i].name;
    const bool is_stripped = !prefix.empty() && name.starts_with(prefix);
    scheme.names.emplace(is_stripped ? name.substr(prefix.size()) : name, ours[i].name.view());
  }
  if (!is_own) scheme.title = text(dialect.title, "'s");
  if (!prefix.empty())
    scheme.title += text(scheme.title.empty() ? "" : " ", "without \"", prefix, '"');
  return scheme;
}

/// The families that a file may be of: first that of the network itself, then those that are known,
/// and those that the user adds.
inline std::vector<const Dialect*> families(Names own, std::span<const Dialect* const> added) {
  std::vector<const Dialect*> all{&dialect_of(own)};
  const auto add = [&](const Dialect* dialect) {
    if (dialect != nullptr && dialect->names_of != nullptr &&
        std::ranges::find(all, dialect) == all.end())
      all.push_back(dialect);
  };
  std::ranges::for_each(dialects, add);
  std::ranges::for_each(added, add);
  return all;
}

/// What files may call the tensors of `net`; first what those of the family `own` do.
///
/// Errors  As `keys_named`.
inline std::vector<KeyScheme> key_schemes(const Definition& net, Names own,
                                          std::span<const Dialect* const> added = {}) {
  std::vector<KeyScheme> schemes;
  for (const Dialect* const dialect : families(own, added)) {
    schemes.push_back(scheme_of(net, *dialect, {}));
    if (!dialect->backbone_prefix.empty())
      schemes.push_back(scheme_of(net, *dialect, dialect->backbone_prefix));
  }
  return schemes;
}

/// A shape in the file as it is in the module: the hidden layer of some families is a 1x1
/// convolution, ours a Linear.
inline std::vector<std::int64_t> without_1x1(std::vector<std::int64_t> shape, std::size_t rank,
                                             const KeyScheme& scheme) {
  const bool is_1x1 = shape.size() == 4 && rank == 2 && shape[2] == 1 && shape[3] == 1;
  if (scheme.dialect->hidden_is_1x1 && is_1x1) shape.resize(2);
  return shape;
}

}  // namespace mnv3::weights
