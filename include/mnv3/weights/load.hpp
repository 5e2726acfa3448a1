// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/family.hpp>
#include <mnv3/weights/pth_reader.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/verify_hash.hpp>

namespace mnv3 {

/// How strict `load` is. The default is Python's `strict=True`, except that what the network's taps
/// do not need may be in the file.
struct LoadOptions {
  /// Stripped from the file's names: "backbone.", "module.", "model.". Names without it are
  /// ignored.
  std::string prefix{};
  bool allow_missing = false;     ///< Keep the network's own values for what the file lacks.
  bool allow_unexpected = false;  ///< Ignore names that the architecture does not know.
  bool allow_mismatched = false;  ///< Keep the network's own values where the shapes differ.
  /// Take weights under another family's names although what it publishes computes otherwise.
  bool allow_other_family = false;
  bool verify_hash = true;  ///< Compare the digits in the file's name, if any: see `verify_hash`.
};

namespace detail {

/// What stands before the first of the network's names, in either family's, that the file has.
inline std::optional<std::string> find_prefix(std::span<const TensorEntry> entries,
                                              const Definition& net) {
  for (const Names names : {Names::torchvision, Names::timm})
    for (const Key& key : keys_named(net, names))
      for (const TensorEntry& entry : entries) {
        if (!entry.name.ends_with(key.name.view())) continue;
        const std::string before = entry.name.substr(0, entry.name.size() - key.name.view().size());
        if (before.empty() || before.ends_with('.')) return before;
      }
  return std::nullopt;
}

/// Sorts every name of the file and of `targets` into a report; `to_load` gets what fits.
inline LoadReport compare(std::span<const TensorEntry> entries, const NamedTensors& targets,
                          const Definition& net, const std::string& prefix,
                          std::vector<std::pair<torch::Tensor, const TensorEntry*>>& to_load) {
  std::set<std::string, std::less<>> known;
  for_each_key(net, [&](const Key& key) { known.emplace(key.name.view()); });
  const std::map<std::string, torch::Tensor> wanted(targets.begin(), targets.end());

  LoadReport report;
  std::set<std::string> found;
  for (const TensorEntry& entry : entries) {
    if (!entry.name.starts_with(prefix)) {
      report.outside_prefix.push_back(entry.name);
      continue;
    }
    const std::string name = entry.name.substr(prefix.size());
    const auto target = wanted.find(name);
    if (target == wanted.end()) {
      (known.contains(name) ? report.unused : report.unexpected).push_back(name);
      continue;
    }
    found.insert(name);
    if (target->second.sizes().vec() != entry.shape) {
      report.mismatched.push_back({name, entry.shape, target->second.sizes().vec()});
    } else {
      report.loaded.push_back(name);
      to_load.emplace_back(target->second, &entry);
    }
  }
  for (const auto& [name, tensor] : targets)
    if (!found.contains(name)) report.missing.push_back(name);
  return report;
}

/// `load` for tensors that need not belong to a module: writes to those of `targets`, which are
/// named as in the state dict of the module `net` or of a part of it. `own` are the names of the
/// family whose conventions `net` has.
inline LoadReport load_into(const NamedTensors& targets, const Definition& net, Names own,
                            const std::filesystem::path& path, const LoadOptions& options) {
  if (options.verify_hash) verify_hash(path);
  PthReader file(path);
  std::vector<TensorEntry> entries = file.entries();
  if (const std::string_view reason = reason_against(entries, options.prefix); !reason.empty())
    throw WeightsError(fmt::format("mnv3: cannot load {}: {}", path.string(), reason));
  const std::optional<std::string> prefix = find_prefix(entries, net);
  const Names names = names_in(entries, options.prefix, net, own);
  to_module_names(entries, options.prefix, net, names);
  std::vector<std::pair<torch::Tensor, const TensorEntry*>> to_load;
  LoadReport report = compare(entries, targets, net, options.prefix, to_load);

  std::string wrong;
  if (names != own && !options.allow_other_family) wrong += difference_from(net, names);
  if (!options.allow_missing) wrong += list_names("missing", report.missing);
  if (!options.allow_unexpected) wrong += list_names("unexpected", report.unexpected);
  if (!options.allow_mismatched) wrong += list_mismatches(report.mismatched);
  if (report.loaded.empty()) {
    wrong += "\n  none of the file's tensors would be loaded";
    if (prefix && *prefix != options.prefix)
      wrong += fmt::format("; there are fitting names behind \"{0}\": pass {{.prefix = \"{0}\"}}",
                           *prefix);
  }
  if (!wrong.empty()) {
    throw LoadError(fmt::format("mnv3: {} does not fit this network; nothing was loaded{}",
                                path.string(), wrong),
                    std::move(report));
  }

  // Everything is read before anything is written, so that a bad file changes nothing.
  std::vector<std::pair<torch::Tensor, torch::Tensor>> staged;
  for (auto& [target, entry] : to_load)
    staged.emplace_back(target, file.read(*entry).to(target.options()));
  const torch::NoGradGuard no_grad;
  for (auto& [target, value] : staged) target.copy_(value);
  return report;
}

}  // namespace detail

/// Loads the weights that `net` needs from a file written by Python's `torch.save`: a state dict,
/// or a checkpoint that holds one (then `prefix` is its key and a dot: "model.").
///
/// Names may be torchvision's or timm's. Those of the family that `Arch` does not say it is of are
/// taken if what that family publishes computes as `Arch` does.
///
/// Values are converted to the network's dtype and device. All or nothing: if this throws, the
/// network has the weights it had.
///
/// Errors  LoadError, a WeightsError, if names or shapes do not fit and `options` does not allow
///         it, or if nothing would be loaded at all; it lists them. WeightsError if the file cannot
///         be read.
template <architecture Arch, class Taps>
LoadReport load(MobileNetV3<Arch, Taps>& net, const std::filesystem::path& path,
                const LoadOptions& options = {}) {
  const Definition& own = definition_of<Arch>;
  return detail::load_into(state_dict(*net), own, own.settings.names, path, options);
}

/// The same with the architecture that the file's weights are of: one in which they would give
/// other numbers is refused by the compiler, with the difference.
template <architecture Arch, class Taps, architecture Source>
LoadReport load(MobileNetV3<Arch, Taps>& net, const WeightsOf<Source>& weights,
                const LoadOptions& options = {}) {
  static_assert(verify_checkpoint<Arch, Source>());
  return detail::load_into(state_dict(*net), definition_of<Arch>,
                           definition_of<Source>.settings.names, weights.path, options);
}

}  // namespace mnv3
