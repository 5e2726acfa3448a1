// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/pth_reader.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/state_dict.hpp>

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
};

namespace detail {

/// What stands before the first of the network's names that the file has.
inline std::optional<std::string> find_prefix(const PthReader& file, const Definition& net) {
  std::optional<std::string> found;
  for_each_key(net, [&](const Key& key) {
    const std::string_view name = key.name.view();
    for (const TensorEntry& entry : file.entries()) {
      if (found) return;
      const std::string_view before =
          std::string_view(entry.name)
              .substr(0, entry.name.size() - std::min(entry.name.size(), name.size()));
      if (entry.name.ends_with(name) && (before.empty() || before.ends_with('.'))) found = before;
    }
  });
  return found;
}

/// Sorts every name of the file and of `targets` into a report; `to_load` gets what fits.
inline LoadReport compare(const PthReader& file, const NamedTensors& targets, const Definition& net,
                          const std::string& prefix,
                          std::vector<std::pair<torch::Tensor, const TensorEntry*>>& to_load) {
  std::set<std::string, std::less<>> known;
  for_each_key(net, [&](const Key& key) { known.emplace(key.name.view()); });
  const std::map<std::string, torch::Tensor> wanted(targets.begin(), targets.end());

  LoadReport report;
  std::set<std::string> found;
  for (const TensorEntry& entry : file.entries()) {
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
/// named as in the state dict of `net` or of a part of it.
inline LoadReport load_into(const NamedTensors& targets, const Definition& net,
                            const std::filesystem::path& path, const LoadOptions& options) {
  PthReader file(path);
  std::vector<std::pair<torch::Tensor, const TensorEntry*>> to_load;
  LoadReport report = compare(file, targets, net, options.prefix, to_load);

  std::string wrong;
  if (!options.allow_missing) wrong += list_names("missing", report.missing);
  if (!options.allow_unexpected) wrong += list_names("unexpected", report.unexpected);
  if (!options.allow_mismatched) wrong += list_mismatches(report.mismatched);
  if (report.loaded.empty()) {
    wrong += "\n  none of the file's tensors would be loaded";
    if (const auto prefix = find_prefix(file, net); prefix && *prefix != options.prefix)
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
/// Values are converted to the network's dtype and device. All or nothing: if this throws, the
/// network has the weights it had.
///
/// Errors  LoadError, a WeightsError, if names or shapes do not fit and `options` does not allow
///         it, or if nothing would be loaded at all; it lists them. WeightsError if the file cannot
///         be read.
template <architecture Arch, class Taps>
LoadReport load(MobileNetV3<Arch, Taps>& net, const std::filesystem::path& path,
                const LoadOptions& options = {}) {
  return detail::load_into(state_dict(*net), definition_of<Arch>, path, options);
}

}  // namespace mnv3
