// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/diagnostics.hpp>
#include <mnv3/config/names.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/checkpoint_reader.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/matching/comparison.hpp>
#include <mnv3/weights/matching/load_plan.hpp>
#include <mnv3/weights/options.hpp>
#include <mnv3/weights/published_file.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/adapt_channels.hpp>
#include <mnv3/weights/tensors/arena.hpp>
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

/// Tensors that take the weights of a file.
struct TensorTarget {
  NamedTensors tensors;             ///< Named as in the state dict of a module.
  std::optional<Definition> net{};  ///< See LoadTarget.
  Names own{};

  LoadTarget shapes() const {
    LoadTarget target{.net = net, .own = own};
    for (const auto& [name, tensor] : tensors)
      target.tensors.emplace_back(name, tensor.sizes().vec());
    return target;
  }
};

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
    const bool stays = target.is_cpu() && transfer.adapted_channels == 0 &&
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
      if (const std::int64_t channels = transfers[sharing[k]].adapted_channels; channels != 0)
        found = adapted_to_channels(found, channels);
      if (value.defined())
        value.copy_(found);
      else
        value = std::move(found);
    }
  }
  return values;
}

/// Does what was planned.
inline LoadReport load_planned(const TensorTarget& target, const CheckpointReader& file,
                               LoadPlan plan) {
  const torch::NoGradGuard no_grad;
  // A bad file, a disk that fails or memory that ends must change nothing: all new values are read
  // and checked before the first is written. What then remains only copies memory.
  for (const auto& [tensor, value] : read_transfers(file, plan.transfers, target.tensors))
    tensor.copy_(value);
  plan.report.bytes_read = file.bytes_read();
  return std::move(plan.report);
}

/// `load` for tensors that need not belong to a module.
///
/// Errors  As `load`.
inline LoadReport load_into(const TensorTarget& target, const CheckpointReader& file,
                            const LoadOptions& options) {
  return load_planned(target, file, plan_load(target.shapes(), file, options));
}

inline LoadReport load_into(const TensorTarget& target, const std::filesystem::path& path,
                            const LoadOptions& options) {
  VerifiedFile verified = open_verified(path, options.verify_hash);
  LoadPlan plan = plan_load(target.shapes(), verified, options);
  return load_planned(target, CheckpointReader(std::move(verified.file)), std::move(plan));
}

template <class Arch, class Taps>
TensorTarget target_of(const MobileNetV3<Arch, Taps>& net) {
  net->check_children();
  return {state_dict(*net), net->definition(), definition_of<Arch>.settings.names};
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
  weights::TensorTarget target = weights::target_of(net);
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
