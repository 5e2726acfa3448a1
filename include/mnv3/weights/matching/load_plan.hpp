// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/weights/bytes/name_file.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/checkpoint_file.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/matching/adapt_channels.hpp>
#include <mnv3/weights/matching/adapter.hpp>
#include <mnv3/weights/matching/comparison.hpp>
#include <mnv3/weights/matching/diagnosis.hpp>
#include <mnv3/weights/matching/family.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>
#include <mnv3/weights/matching/naming.hpp>
#include <mnv3/weights/options.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/verify_hash.hpp>

// Which tensor of a file goes where.

namespace mnv3::weights {

/// What takes the weights of a file.
struct LoadTarget {
  /// Names as in the state dict of a module, in its order, and shapes.
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensors{};
  std::optional<Definition> net{};  ///< The whole network; none where no table describes it.
  Names own{};                      ///< The family whose conventions the network has.

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, shape] : tensors) all.push_back(name);
    return all;
  }
  Wanted wanted() const { return Wanted(tensors.begin(), tensors.end()); }
  /// How most files have them: as the network's own family does.
  std::vector<KeyScheme> plain_scheme() const {
    if (!net) return std::vector<KeyScheme>(1);
    return {scheme_of(*net, dialect_of(own), {})};
  }
  std::vector<KeyScheme> schemes(const LoadOptions& options) const {
    return net ? key_schemes(*net, own, options.dialects) : std::vector<KeyScheme>(1);
  }
};

/// What `load` will do: nothing has been read yet but names and shapes.
struct LoadPlan {
  LoadReport report;                ///< All but `bytes_read`.
  std::vector<Transfer> transfers;  ///< In the order of the file; what has none keeps its values.
};

/// What `report` has that `options` does not allow, in words; empty if there is nothing.
inline std::string list_faults(const LoadReport& report, const LoadOptions& options) {
  std::string wrong;
  if (!options.allow_missing) wrong += list_names("missing", report.missing);
  if (!options.allow_unexpected) wrong += list_names("unexpected", report.unexpected);
  if (!options.allow_mismatched) wrong += list_mismatches(report.mismatched);
  return wrong + list_unreadable(report.unreadable);
}

/// What could be done about shapes that differ, in lines that follow the list of faults.
inline std::string list_suggestions(const LoadReport& report, const Definition& net,
                                    const LoadOptions& options) {
  std::string suggestions;
  if (options.allow_mismatched) return suggestions;
  const Adapter adapter(net);
  for (const ShapeMismatch& m : report.mismatched)
    suggestions += adapter.suggest(m.name, m.in_file, m.in_network);
  return suggestions;
}

/// What to say where nothing would be loaded at all.
inline std::string nothing_fits(std::span<const NamedEntry> entries, const Wanted& wanted,
                                std::span<const KeyScheme> schemes, std::string_view prefix) {
  std::string what = "\n  none of the file's tensors would be loaded";
  const std::vector<Naming> namings = find_namings(entries, wanted, schemes, std::nullopt);
  if (!namings.empty() && namings[0].prefix != prefix)
    what += text("; there are fitting names after \"", printable(namings[0].prefix),
                 "\": pass {.prefix = \"", printable(namings[0].prefix), "\"}");
  return what;
}

/// Refuses what has no effect on a module that no table describes.
inline void check_options(const LoadTarget& target, const LoadOptions& options) {
  if (options.label_offset < 0)
    throw WeightsError(
        text("{.label_offset = ", options.label_offset, "} leaves out fewer classes than none"));
  if (target.net) return;
  if (options.adapt_input_channels || options.adapt_classes || options.label_offset != 0 ||
      options.allow_other_family || !options.dialects.empty())
    throw WeightsError(
        "adapt_input_channels, adapt_classes, label_offset, allow_other_family and dialects are "
        "for networks that a table describes, and this is a module of another kind. Load the "
        "network in it by itself");
}

/// Whether a file has all that is needed, and nothing that is not known, as the network itself has
/// it: then it is of no other family.
inline bool is_plain(const Naming& naming, std::span<const NamedEntry> entries,
                     const Wanted& wanted) {
  const auto counted = std::ranges::count_if(
      entries, [](const NamedEntry& entry) { return !is_batch_counter(entry.name); });
  return naming.fitting == count_of(wanted) && naming.known == static_cast<std::size_t>(counted);
}

/// Finds out which tensors of a file `target` takes, and how.
///
/// Errors  LoadError, a WeightsError, if names or shapes do not fit and `options` does not allow it,
///         or if nothing would be loaded at all; it lists them. WeightsError if several parts of the
///         file would do, or `options` make no sense.
inline LoadPlan plan_load(const LoadTarget& target, const CheckpointFile& file,
                          const LoadOptions& options) {
  const Definition* const net = target.net ? &*target.net : nullptr;
  const Wanted wanted = target.wanted();
  std::vector<KeyScheme> schemes;
  std::vector<NamedEntry> entries;
  std::optional<Comparison> comparison;
  std::string wrong;
  name_file_in_errors("load", file.path(), [&] {
    check_options(target, options);
    entries = named_entries(file.entries(), wanted, options.rename);
    schemes = target.plain_scheme();
    std::vector<Naming> namings = find_namings(entries, wanted, schemes, options.prefix);
    Naming naming;
    if (namings.size() == 1 && is_plain(namings[0], entries, wanted)) {
      naming = std::move(namings[0]);
    } else {
      schemes = target.schemes(options);
      naming = choose_naming(entries, wanted, schemes, options.prefix, options.allow_missing);
    }
    const KeyScheme& scheme = schemes[naming.scheme];
    if (target.net) {
      const std::string reason = reason_against(entries, naming.prefix, options.dialects);
      if (!reason.empty()) throw WeightsError(reason);
      if (!options.allow_other_family)
        wrong = difference_from(*target.net, dialect_of(target.own), *scheme.dialect, entries);
    }
    comparison.emplace(entries, wanted, target.names(), net, naming, scheme, options);
  });
  LoadReport& report = comparison->report;
  std::string faults = list_faults(report, options);
  if (net != nullptr) faults += list_suggestions(report, *net, options);
  if (report.loaded.empty()) faults += nothing_fits(entries, wanted, schemes, report.prefix);
  if (!faults.empty())
    faults += diagnosis({.entries = entries,
                         .foreign = comparison->foreign,
                         .wanted = wanted,
                         .report = report,
                         .net = net,
                         .dialects = options.dialects});
  wrong += faults;
  if (!wrong.empty())
    throw LoadError(text("mnv3: ", file.path().string(),
                         " does not fit this network; nothing was loaded", wrong),
                    std::move(report));
  report.format = file.format();
  return {std::move(report), std::move(comparison->transfers)};
}

/// The same for a file that `open_verified` opened, whose note goes into the report, an error's, too.
inline LoadPlan plan_load(const LoadTarget& target, const VerifiedFile& verified,
                          const LoadOptions& options) {
  if (verified.note.empty()) return plan_load(target, verified.file, options);
  try {
    LoadPlan plan = plan_load(target, verified.file, options);
    plan.report.notes.push_back(verified.note);
    return plan;
  } catch (const LoadError& error) {
    LoadReport report = error.report();
    report.notes.push_back(verified.note);
    throw LoadError(text(error.what(), "\n  ", verified.note), std::move(report));
  }
}

/// The values that a transfer has for its target, as `CheckpointFile::values` reads them: in the
/// order of the target's dimensions.
///
/// Errors  As `CheckpointFile::values`.
template <class T>
std::vector<T> values_of(const CheckpointFile& file, const Transfer& transfer) {
  std::vector<T> values = file.values<T>(transfer.entry);
  if (transfer.adapted_channels == 0) return values;
  const auto channels = static_cast<std::size_t>(transfer.adapted_channels);
  std::vector<T> adapted(values.size() / 3 * channels);
  adapt_channels<T>(values, adapted, static_cast<std::size_t>(transfer.entry.shape[0]), channels);
  return adapted;
}

}  // namespace mnv3::weights
