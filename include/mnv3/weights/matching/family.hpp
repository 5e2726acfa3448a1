// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/weights/matching/file_names.hpp>

// Whose names a checkpoint has, and what that says of the network it is of.

namespace mnv3::weights {

/// What refuses a file whose names, after `prefix`, are those of networks that none of ours
/// computes. Empty: nothing does.
inline std::string reason_against(std::span<const NamedEntry> entries, std::string_view prefix,
                                  std::span<const Dialect* const> added = {}) {
  const auto refuses = [&](const Dialect* dialect) {
    return dialect->recognises != nullptr &&
           std::ranges::any_of(entries, [&](const NamedEntry& entry) {
             const std::string_view name = entry.name;
             return name.starts_with(prefix) && dialect->recognises(name.substr(prefix.size()));
           });
  };
  for (const auto& table : {std::span<const Dialect* const>(dialects), added})
    for (const Dialect* const dialect : table)
      if (refuses(dialect))
        return fmt::format("its names are those of {}, where {}", dialect->title, dialect->refusal);
  return {};
}

inline std::string described_conventions(double eps, Padding padding) {
  return fmt::format("`norm_eps` {:g} and {} padding", eps,
                     padding == Padding::same ? "TensorFlow's `same`" : "symmetric");
}

/// What is wrong with a file that has these names for `net`, whose own are others. Empty where what
/// is published under them computes as `net` does.
inline std::string difference_from(const Definition& net, const Dialect& dialect,
                                   std::span<const NamedEntry> entries) {
  const auto applies = [&](const PublishedConventions& c) {
    return std::ranges::any_of(entries, [&](const NamedEntry& entry) {
      return entry.name.starts_with(c.where_names_begin);
    });
  };
  const double eps = norm_eps_of(net.settings);
  const Padding padding = net.settings.padding;
  std::string theirs;
  for (const PublishedConventions& c : dialect.published) {
    const bool is_told = !c.where_names_begin.empty();
    if (is_told && !applies(c)) continue;
    if (c.norm_eps == eps && c.padding == padding) return {};
    theirs += (theirs.empty() ? "" : ", or ") + described_conventions(c.norm_eps, c.padding);
    if (is_told) break;
  }
  return fmt::format(
      "\n  it has {0}'s names, and what {0} publishes computes with {1}; this network has {2}, and "
      "the same weights would give other numbers. Use the architecture that they are of{3}, or "
      "allow_other_family",
      dialect.title, theirs, described_conventions(eps, padding),
      dialect.architectures.empty() ? "" : fmt::format(" ({})", dialect.architectures));
}

}  // namespace mnv3::weights
