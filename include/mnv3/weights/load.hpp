// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/config/rules.hpp>
#include <mnv3/hub/locate.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/checkpoint_reader.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/matching/adapter.hpp>
#include <mnv3/weights/matching/comparison.hpp>
#include <mnv3/weights/matching/diagnosis.hpp>
#include <mnv3/weights/matching/family.hpp>
#include <mnv3/weights/matching/file_names.hpp>
#include <mnv3/weights/matching/key_scheme.hpp>
#include <mnv3/weights/matching/naming.hpp>
#include <mnv3/weights/options.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/adapt_channels.hpp>
#include <mnv3/weights/tensors/arena.hpp>
#include <mnv3/weights/tensors/name_file.hpp>
#include <mnv3/weights/tensors/torch_dtype.hpp>
#include <mnv3/weights/verify_hash.hpp>

namespace mnv3 {

/// A file with weights of the architecture `Arch`: with it, `load` checks at compile time that they
/// mean the same in the network.
template <architecture Arch>
struct WeightsOf {
  std::filesystem::path path;
};

namespace weights {

/// What takes the weights of a file.
struct LoadTarget {
  NamedTensors tensors;  ///< Named as in the state dict of a module.
  std::optional<Definition> net{};  ///< The whole network; none where no table describes it.
  Names own{};  ///< The family whose conventions the network has.

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors) all.push_back(name);
    return all;
  }
  Wanted wanted() const {
    Wanted shapes;
    for (const auto& [name, tensor] : tensors) shapes.emplace(name, tensor.sizes().vec());
    return shapes;
  }
  /// How most files have them: as the network's own family does.
  std::vector<KeyScheme> plain_scheme() const {
    if (!net) return std::vector<KeyScheme>(1);
    return {scheme_of(*net, dialect_of(own), {})};
  }
  std::vector<KeyScheme> schemes(const LoadOptions& options) const {
    return net ? key_schemes(*net, own, options.dialects) : std::vector<KeyScheme>(1);
  }
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
  std::string text;
  if (options.allow_mismatched) return text;
  const Adapter adapter(net);
  for (const ShapeMismatch& m : report.mismatched)
    text += adapter.suggest(m.name, m.in_file, m.in_network);
  return text;
}

/// What to say where nothing would be loaded at all.
inline std::string nothing_fits(std::span<const NamedEntry> entries, const Wanted& wanted,
                                std::span<const KeyScheme> schemes, std::string_view prefix) {
  std::string text = "\n  none of the file's tensors would be loaded";
  const std::vector<Naming> namings = find_namings(entries, wanted, schemes, std::nullopt);
  if (!namings.empty() && namings[0].prefix != prefix)
    text += fmt::format("; there are fitting names after \"{0}\": pass {{.prefix = \"{0}\"}}",
                        printable(namings[0].prefix));
  return text;
}

/// The tensors that `transfers` are for, each with its new values, of its dtype and on its device.
/// Beside these no more is held at a time than what one storage of the file has of them.
inline std::vector<std::pair<torch::Tensor, torch::Tensor>> read_transfers(
    const CheckpointReader& file, std::span<const Transfer> transfers,
    const NamedTensors& targets) {
  const std::map<std::string_view, torch::Tensor> by_name(targets.begin(), targets.end());
  std::vector<std::pair<torch::Tensor, torch::Tensor>> values;
  std::map<std::size_t, std::vector<std::size_t>> by_storage;
  std::size_t stays_bytes = 0;
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const Transfer& transfer = transfers[i];
    const torch::Tensor& target = by_name.at(transfer.target);
    by_storage[transfer.entry.storage].push_back(i);
    // What is converted has its place before what it is made of, which leaves no holes.
    const bool stays = target.is_cpu() && !transfer.adapts_channels &&
                       target.scalar_type() == scalar_type_of(transfer.entry.dtype);
    values.emplace_back(target, stays ? torch::Tensor() : torch::empty_like(target));
    if (stays) stays_bytes += file.arena_bytes(transfer.entry);
  }
  Arena arena(stays_bytes), none(0);
  for (const auto& [storage, sharing] : by_storage) {
    std::vector<TensorEntry> entries;
    for (const std::size_t i : sharing) entries.push_back(transfers[i].entry);
    const bool stays = !values[sharing[0]].second.defined();
    std::vector<torch::Tensor> read = file.read(entries, stays ? arena : none);
    for (std::size_t k = 0; k < sharing.size(); ++k) {
      auto& [target, value] = values[sharing[k]];
      torch::Tensor found = std::exchange(read[k], {});
      if (transfers[sharing[k]].adapts_channels) found = adapted_to_channels(found, target.size(1));
      if (value.defined())
        value.copy_(found);
      else
        value = std::move(found);
    }
  }
  return values;
}

/// Refuses what has no effect on a module that no table describes.
inline void check_options(const LoadTarget& target, const LoadOptions& options) {
  if (options.label_offset < 0)
    throw WeightsError(fmt::format("{{.label_offset = {}}} leaves out fewer classes than none",
                                   options.label_offset));
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

/// `load` for tensors that need not belong to a module.
///
/// Errors  As `load`.
inline LoadReport load_into(const LoadTarget& target, const CheckpointReader& file,
                            const LoadOptions& options) {
  const torch::NoGradGuard no_grad;
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
    throw LoadError(fmt::format("mnv3: {} does not fit this network; nothing was loaded{}",
                                file.path().string(), wrong),
                    std::move(report));

  // A bad file, a disk that fails or memory that ends must change nothing: all new values are read
  // and checked before the first is written. What then remains only copies memory.
  for (const auto& [tensor, value] : read_transfers(file, comparison->transfers, target.tensors))
    tensor.copy_(value);
  report.format = file.format();
  report.bytes_read = file.bytes_read();
  return std::move(report);
}

inline LoadReport load_into(const LoadTarget& target, const std::filesystem::path& path,
                            const LoadOptions& options) {
  VerifiedFile file = open_verified(path, options.verify_hash);
  if (file.note.empty()) return load_into(target, file.reader, options);
  try {
    LoadReport report = load_into(target, file.reader, options);
    report.notes.push_back(std::move(file.note));
    return report;
  } catch (const LoadError& error) {
    LoadReport report = error.report();
    const std::string message = fmt::format("{}\n  {}", error.what(), file.note);
    report.notes.push_back(std::move(file.note));
    throw LoadError(message, std::move(report));
  }
}

template <class Arch, class Taps>
LoadTarget target_of(const MobileNetV3<Arch, Taps>& net) {
  net->check_children();
  return {state_dict(*net), net->definition(), definition_of<Arch>.settings.names};
}

/// Refuses published weights that would give other numbers in `net` than in the network that they
/// were trained in. Its head, its dilations and the strides that go with them may be others: that is
/// how decoders and detectors begin with them.
///
/// Errors  WeightsError with the rule that `WeightsOf` breaks.
inline void check_published(const Definition& net, const PublishedWeights& published) {
  const Definition& theirs = *published.network;
  std::vector<InvertedResidualConfig> rows(theirs.blocks.begin(), theirs.blocks.end());
  for (std::size_t i = 0; i < std::min(rows.size(), net.blocks.size()); ++i) {
    rows[i].stride = net.blocks[i].stride;
    rows[i].dilation = net.blocks[i].dilation;
  }
  Settings settings = theirs.settings;
  settings.last_channel = net.settings.last_channel;
  settings.closing_layers = net.settings.closing_layers;
  settings.closing_channels = net.settings.closing_channels;
  settings.hidden_layer = net.settings.hidden_layer;
  settings.hidden_bias = net.settings.hidden_bias;
  settings.pooling = net.settings.pooling;
  const Verdict verdict = check_checkpoint(net, {rows, settings});
  if (!verdict.ok())
    throw WeightsError(fmt::format(
        "mnv3: {} would give other numbers in this network, unless allow_other_family is set. {} "
        "(got {}, expected {})",
        published.name, sentence_of(verdict.rule), verdict.got, verdict.expected));
}

/// The file of published weights, if they are for `net`.
inline std::filesystem::path locate(const PublishedWeights& published, const Definition& net,
                                    const LoadOptions& options) {
  if (!options.allow_other_family) check_published(net, published);
  return hub::locate(published);
}

}  // namespace weights

/// Loads the weights that `net` needs from a file: what Python's `torch.save` or `torch.jit.save`
/// or LibTorch's `torch::pickle_save` wrote, or a safetensors file. The file's content says which,
/// not its name.
///
/// What surrounds the state dict is found: a checkpoint's key ("model", "state_dict"), a prefix
/// ("module.", "backbone."), what `torch.compile` and other wrappers put into names, a backbone
/// without "features.". Two parts that would do are an error; then say which by `options.prefix`.
///
/// Names may be torchvision's, those of its MobileNetV2 or its SSDlite, timm's or OpenMMLab's, or
/// those of `options.dialects`. Those of a family that `Arch` does not say it is of are taken if
/// what that family publishes computes as `Arch` does.
///
/// Values are converted to the network's dtype and device. All or nothing: if this throws, the
/// network has the weights it had. Only what is needed is read from the file; it is held beside the
/// network until all of it has been read.
///
/// Errors  LoadError, a WeightsError, if names or shapes do not fit and `options` does not allow
///         it, or if nothing would be loaded at all; it lists them. WeightsError if the file cannot
///         be read.
template <class Arch, class Taps>
LoadReport load(MobileNetV3<Arch, Taps>& net, const std::filesystem::path& path,
                const LoadOptions& options = {}) {
  return weights::load_into(weights::target_of(net), path, options);
}

/// The same from memory, of which no copy is made: what was embedded, mapped or decrypted. Errors
/// call it "memory".
template <class Arch, class Taps>
LoadReport load(MobileNetV3<Arch, Taps>& net, std::span<const std::byte> bytes,
                const LoadOptions& options = {}) {
  return weights::load_into(weights::target_of(net), CheckpointReader(bytes), options);
}

/// The same with weights that somebody publishes, `mnv3::torchvision_weights[2]`: their file is
/// where Python keeps it, or is downloaded to there, if the program has the target mnv3::hub.
///
/// Errors  As above; WeightsError if they would give other numbers in `net` than where they were
///         trained, or if the file is not there and cannot be downloaded.
template <class Arch, class Taps>
LoadReport load(MobileNetV3<Arch, Taps>& net, const PublishedWeights& published,
                const LoadOptions& options = {}) {
  return weights::load_into(weights::target_of(net),
                            weights::locate(published, definition_of<Arch>, options), options);
}

/// The same with the architecture that the file's weights are of: one in which they would give
/// other numbers is refused by the compiler, with the difference.
template <class Arch, class Taps, class Source>
LoadReport load(MobileNetV3<Arch, Taps>& net, const WeightsOf<Source>& weights,
                const LoadOptions& options = {}) {
  static_assert(verify_checkpoint<Arch, Source>());
  weights::LoadTarget target = weights::target_of(net);
  target.own = definition_of<Source>.settings.names;
  return weights::load_into(target, weights.path, options);
}

/// The same for what a `MobileNetV3` holds.
template <class Arch, class Taps, class Source>
LoadReport load(MobileNetV3Impl<Arch, Taps>& net, const Source& source,
                const LoadOptions& options = {}) {
  MobileNetV3<Arch, Taps> holder(
      std::dynamic_pointer_cast<MobileNetV3Impl<Arch, Taps>>(net.shared_from_this()));
  return load(holder, source, options);
}

/// Loads a module of any kind: a network of ours within one of the user's own, say. Names are the
/// module's own, after a prefix; families are not looked for, and all that the file has after the
/// prefix must be the module's.
///
/// Errors  As above; WeightsError if `options` has something that needs a table.
inline LoadReport load(torch::nn::Module& module, const std::filesystem::path& path,
                       const LoadOptions& options = {}) {
  return weights::load_into({.tensors = state_dict(module)}, path, options);
}
inline LoadReport load(torch::nn::Module& module, std::span<const std::byte> bytes,
                       const LoadOptions& options = {}) {
  return weights::load_into({.tensors = state_dict(module)}, CheckpointReader(bytes), options);
}
template <class Contained>
LoadReport load(torch::nn::ModuleHolder<Contained>& module, const std::filesystem::path& path,
                const LoadOptions& options = {}) {
  return load(static_cast<torch::nn::Module&>(*module), path, options);
}
template <class Contained>
LoadReport load(torch::nn::ModuleHolder<Contained>& module, std::span<const std::byte> bytes,
                const LoadOptions& options = {}) {
  return load(static_cast<torch::nn::Module&>(*module), bytes, options);
}

}  // namespace mnv3
