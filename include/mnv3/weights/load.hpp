// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/conventions.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/geometry.hpp>
#include <mnv3/config/keys.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/checkpoint_reader.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/matching/family.hpp>
#include <mnv3/weights/matching/naming.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/adapt.hpp>
#include <mnv3/weights/tensors/name_file.hpp>
#include <mnv3/weights/verify_hash.hpp>

namespace mnv3 {

/// How strict `load` is, and what it may change. The default is Python's `strict=True`, except that
/// what the network's taps do not need may be in the file.
struct LoadOptions {
  /// What stands before the names in the file: "model.", "state_dict.module.backbone.". Names
  /// without it are ignored. Not given, it is found, if only one would do.
  std::optional<std::string> prefix{};
  bool allow_missing = false;     ///< Keep the network's own values for what the file lacks.
  bool allow_unexpected = false;  ///< Ignore names that the architecture does not know.
  bool allow_mismatched = false;  ///< Keep the network's own values where the shapes differ.
  /// Take weights under another family's names although what it publishes computes otherwise.
  bool allow_other_family = false;
  bool verify_hash = true;  ///< Compare the digits in the file's name, if any: see `verify_hash`.

  /// Make a stem for pictures of another number of channels out of one for RGB: for one channel
  /// the sum over the three, for n the three over and over, scaled by 3 / n.
  bool adapt_input_channels = false;
  /// Keep the network's own last Linear where the file's is for another number of classes.
  bool adapt_classes = false;
  /// How many classes the file's last Linear has before those of the network: 1 where class 0 of
  /// 1001 is the background.
  std::int64_t label_offset = 0;
};

namespace weights {

/// A tensor of the file, or a part of it, and the tensor of the network that takes its values.
struct Transfer {
  torch::Tensor target;
  TensorEntry entry;
  bool adapts_channels = false;
};

/// The names of the whole network, of which the tensors of a module may be a part: what a file may
/// have besides `targets`.
class KnownNames {
 public:
  KnownNames(Definition net, const NamedTensors& targets) {
    // Batch norm's counters are nothing to a frozen one, as torchvision's FrozenBatchNorm2d has it.
    if (net.settings.norm == Norm::frozen_batch) net.settings.norm = Norm::batch;
    // What a block of the user's own has is the module's to say, where there is one.
    if (net.has_own_block)
      for (int i = 1; is_block(net, i); ++i) {
        std::string block = fmt::format("features.{}.", i);
        const bool exists = std::any_of(
            targets.begin(), targets.end(),
            [&](const auto& target) { return target.first.starts_with(block); });
        (exists ? present_ : absent_).push_back(std::move(block));
      }
    for_each_key(net, [&](const Key& key) {
      if (!is_in(present_, key.name.view())) names_.emplace(key.name.view());
    });
  }
  bool contains(std::string_view name) const {
    return names_.contains(name) || is_in(absent_, name);
  }

 private:
  static bool is_in(const std::vector<std::string>& blocks, std::string_view name) {
    return std::any_of(blocks.begin(), blocks.end(),
                       [&](const std::string& block) { return name.starts_with(block); });
  }

  std::set<std::string, std::less<>> names_;
  std::vector<std::string> present_, absent_;  // blocks of the user's own: "features.1."
};

/// Sorts every name of the file and of `targets` into a report; `transfers` gets what fits.
inline LoadReport compare(const CheckpointReader& file, const NamedTensors& targets,
                          const Definition& net, const Naming& naming, const KeyScheme& scheme,
                          const LoadOptions& options, std::vector<Transfer>& transfers) {
  const KnownNames known(net, targets);
  const std::map<std::string, torch::Tensor, std::less<>> wanted(targets.begin(), targets.end());
  const Adapter adapter(net);

  LoadReport report;
  report.prefix = naming.prefix;
  report.key_scheme = scheme.title;
  std::set<std::string> found;
  for (const TensorEntry& entry : file.entries()) {
    if (!entry.name.starts_with(naming.prefix)) {
      report.outside_prefix.push_back(entry.name);
      continue;
    }
    const std::string_view bare = std::string_view(entry.name).substr(naming.prefix.size());
    const std::optional<std::string> module_name = scheme.to_module(bare);
    if (!module_name) {
      report.unexpected.emplace_back(bare);
      continue;
    }
    const std::string& name = *module_name;
    const auto target = wanted.find(name);
    if (target == wanted.end()) {
      (known.contains(name) ? report.unused : report.unexpected).push_back(name);
      continue;
    }
    if (!found.insert(name).second)
      throw WeightsError(fmt::format("mnv3: cannot load {}: two of its tensors are {}",
                                     file.path().string(), name));
    Transfer transfer{.target = target->second, .entry = entry};
    const std::vector<std::int64_t> shape = target->second.sizes().vec();
    transfer.entry.shape = without_1x1(entry.shape, shape.size(), scheme);
    transfer.entry.strides.resize(transfer.entry.shape.size());
    const std::vector<std::int64_t> in_file = transfer.entry.shape;
    const bool needs_shift = options.label_offset != 0 && adapter.is_last(name);
    if (needs_shift && adapter.shift_labels(transfer.entry, shape, options.label_offset))
      report.adapted.push_back(
          {name, fmt::format("classes {} to {} of the file's {}", options.label_offset,
                             options.label_offset + shape[0] - 1, in_file[0])});
    if (transfer.entry.shape == shape && (!needs_shift || in_file != shape)) {
      report.loaded.push_back(name);
      transfers.push_back(std::move(transfer));
    } else if (options.adapt_input_channels && adapter.can_adapt_channels(name, in_file, shape)) {
      transfer.adapts_channels = true;
      report.loaded.push_back(name);
      report.adapted.push_back({name, describe_channels(shape[1])});
      transfers.push_back(std::move(transfer));
    } else if (options.adapt_classes && adapter.is_for_other_classes(name, in_file, shape)) {
      report.adapted.push_back(
          {name, fmt::format("not loaded: {} classes in the file, {} here", in_file[0], shape[0])});
    } else {
      report.mismatched.push_back({name, in_file, shape});
    }
  }
  for (const auto& [name, tensor] : targets)
    if (!found.contains(name)) report.missing.push_back(name);
  return report;
}

/// What `report` has that `options` does not allow, in words; empty if there is nothing.
inline std::string list_faults(const LoadReport& report, const CheckpointReader& file,
                               const Wanted& wanted, const Definition& net,
                               std::span<const KeyScheme> schemes, const LoadOptions& options) {
  std::string wrong;
  if (!options.allow_missing) wrong += list_names("missing", report.missing);
  if (!options.allow_unexpected) wrong += list_names("unexpected", report.unexpected);
  if (!options.allow_mismatched) {
    wrong += list_mismatches(report.mismatched);
    const Adapter adapter(net);
    for (const ShapeMismatch& m : report.mismatched)
      wrong += adapter.suggest(m.name, m.in_file, m.in_network);
  }
  if (report.loaded.empty()) {
    wrong += "\n  none of the file's tensors would be loaded";
    const auto namings = find_namings(file.entries(), wanted, schemes, std::nullopt);
    if (!namings.empty() && namings[0].prefix != report.prefix)
      wrong += fmt::format("; there are fitting names after \"{0}\": pass {{.prefix = \"{0}\"}}",
                           namings[0].prefix);
  }
  return wrong;
}

/// `load` for tensors that need not belong to a module: writes to those of `targets`, which are
/// named as in the state dict of the module `net` or of a part of it. `own` is the family whose
/// conventions `net` has.
inline LoadReport load_into(const NamedTensors& targets, const Definition& net, Names own,
                            const std::filesystem::path& path, const LoadOptions& options) {
  if (options.verify_hash) verify_hash(path);
  const CheckpointReader file(path);
  Wanted wanted;
  for (const auto& [name, tensor] : targets) wanted.emplace(name, tensor.sizes().vec());
  const std::vector<KeyScheme> schemes = key_schemes(net, own);
  const Naming naming = name_file_in_errors(
      "load", path, [&] { return choose_naming(file.entries(), wanted, schemes, options.prefix); });
  const KeyScheme& scheme = schemes[naming.scheme];
  if (const std::string_view reason = reason_against(file.entries(), naming.prefix);
      !reason.empty())
    throw WeightsError(fmt::format("mnv3: cannot load {}: {}", path.string(), reason));
  std::vector<Transfer> transfers;
  LoadReport report = compare(file, targets, net, naming, scheme, options, transfers);
  std::string wrong;
  if (scheme.names != own && !options.allow_other_family)
    wrong += difference_from(net, scheme.names);
  wrong += list_faults(report, file, wanted, net, schemes, options);
  if (!wrong.empty())
    throw LoadError(fmt::format("mnv3: {} does not fit this network; nothing was loaded{}",
                                path.string(), wrong),
                    std::move(report));

  // A bad file must change nothing, and there may be no room for a second copy of the weights. So
  // what is needed of the file is read twice: first through, for what its check sums and the disk
  // have to say, and then into the network's own memory, tensor by tensor. All that is left to go
  // wrong then is that somebody changes the file in between.
  std::vector<const TensorEntry*> needed;
  for (const Transfer& transfer : transfers) needed.push_back(&transfer.entry);
  file.check(needed);
  try {
    for (const Transfer& transfer : transfers) {
      if (transfer.adapts_channels)
        adapt_channels(file.read(transfer.entry), transfer.target);
      else
        file.read_into(transfer.entry, transfer.target);
    }
  } catch (const WeightsError& error) {
    throw WeightsError(fmt::format(
        "{}. It was whole a moment ago, so somebody is changing it. The network is partly loaded",
        error.what()));
  }
  report.format = file.format();
  report.bytes_read = file.bytes_read();
  return report;
}

}  // namespace weights

/// Loads the weights that `net` needs from a file: what Python's `torch.save` or `torch.jit.save`
/// wrote, or a safetensors file. The file's content says which, not its name.
///
/// What surrounds the state dict is found: a checkpoint's key ("model", "state_dict"), a prefix
/// ("module.", "backbone."), a backbone without "features.". Two that would do are an error; then
/// say which by `options.prefix`.
///
/// Names may be torchvision's, its MobileNetV2's or timm's. Those of the family that `Arch` does
/// not say it is of are taken if what that family publishes computes as `Arch` does.
///
/// Values are converted to the network's dtype and device. All or nothing: if this throws, the
/// network has the weights it had. Only what is needed is read from the file, and no more than one
/// tensor is ever held beside the network.
///
/// Errors  LoadError, a WeightsError, if names or shapes do not fit and `options` does not allow
///         it, or if nothing would be loaded at all; it lists them. WeightsError if the file cannot
///         be read.
template <class Arch, class Taps>
LoadReport load(MobileNetV3<Arch, Taps>& net, const std::filesystem::path& path,
                const LoadOptions& options = {}) {
  const Definition& own = definition_of<Arch>;
  return weights::load_into(state_dict(*net), own, own.settings.names, path, options);
}

/// The same with the architecture that the file's weights are of: one in which they would give
/// other numbers is refused by the compiler, with the difference.
template <class Arch, class Taps, class Source>
LoadReport load(MobileNetV3<Arch, Taps>& net, const WeightsOf<Source>& weights,
                const LoadOptions& options = {}) {
  static_assert(verify_checkpoint<Arch, Source>());
  return weights::load_into(state_dict(*net), definition_of<Arch>,
                            definition_of<Source>.settings.names, weights.path, options);
}

}  // namespace mnv3
