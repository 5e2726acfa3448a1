// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/dialect.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/settings.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/matching/file_names.hpp>

// Whose names a checkpoint has, and what that says of the network it is of.

namespace mnv3::weights {

/// What refuses a file whose names, after `prefix`, are those of networks that none of ours
/// computes. Empty: nothing does.
inline std::string reason_against(std::span<const NamedEntry> entries, std::string_view prefix,
                                  std::span<const Dialect* const> added = {}) {
  const auto refuses = [&](const Dialect* dialect) {
    return dialect != nullptr && dialect->names_of == nullptr && dialect->recognises != nullptr &&
           std::ranges::any_of(entries, [&](const NamedEntry& entry) {
             const std::string_view name = entry.name;
             return name.starts_with(prefix) && dialect->recognises(name.substr(prefix.size()));
           });
  };
  for (const auto& table : {std::span<const Dialect* const>(dialects), added})
    for (const Dialect* const dialect : table)
      if (refuses(dialect))
        return text("its names are those of ", dialect->title, ", where ", dialect->refusal);
  return {};
}

inline std::string described_conventions(double eps, Padding padding) {
  return text("`norm_eps` ", eps, " and ",
              padding == Padding::same ? "TensorFlow's `same`" : "symmetric", " padding");
}

/// With which of a family's conventions a file may have been made: those that its names tell, else
/// all that no names tell.
inline std::vector<PublishedConventions> possible_conventions(const Dialect& dialect,
                                                              std::span<const NamedEntry> entries) {
  const auto applies = [&](const PublishedConventions& c) {
    const std::string after_a_dot = "." + std::string(c.where_names_begin);
    return std::ranges::any_of(entries, [&](const NamedEntry& entry) {
      return entry.name.starts_with(c.where_names_begin) ||
             entry.name.find(after_a_dot) != std::string::npos;
    });
  };
  std::vector<PublishedConventions> told, others;
  for (const PublishedConventions& c : dialect.published)
    if (c.where_names_begin.empty())
      others.push_back(c);
    else if (applies(c))
      told.push_back(c);
  return told.empty() ? others : told;
}

/// Whether that is how `net` computes.
inline bool has_conventions(const Definition& net, const PublishedConventions& conventions) {
  return conventions.norm_eps == norm_eps_of(net.settings) &&
         conventions.padding == net.settings.padding;
}

/// What is wrong with a file that has these names for `net`, whose own are those of `own`. Empty
/// where what is published under them computes as `net` does, or where nothing is known. A network
/// may have other conventions than its own family publishes, but not than the file itself tells.
inline std::string difference_from(const Definition& net, const Dialect& own,
                                   const Dialect& dialect, std::span<const NamedEntry> entries) {
  const std::vector<PublishedConventions> theirs = possible_conventions(dialect, entries);
  if (theirs.empty() || (&dialect == &own && theirs[0].where_names_begin.empty())) return {};
  std::string described;
  for (const PublishedConventions& c : theirs) {
    if (has_conventions(net, c)) return {};
    described += (described.empty() ? "" : ", or ") + described_conventions(c.norm_eps, c.padding);
  }
  return text(
      "\n  it has ", dialect.title, "'s names, and what ", dialect.title,
      " publishes computes with ", described, "; this network has ",
      described_conventions(norm_eps_of(net.settings), net.settings.padding),
      ", and the same weights would give other numbers. Use the architecture that they are of",
      dialect.architectures.empty() ? "" : text(" (", dialect.architectures, ')'),
      ", or allow_other_family");
}

}  // namespace mnv3::weights
