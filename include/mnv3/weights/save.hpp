// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <mnv3/config/arch.hpp>
#include <mnv3/config/published.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/nn/with_head.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/pth_writer.hpp>
#include <mnv3/weights/tensors/safetensors_writer.hpp>
#include <mnv3/weights/tensors/to_file_names.hpp>

namespace mnv3 {

/// How `save` writes.
struct SaveOptions {
  std::string prefix{};  ///< What stands before all names: "backbone.".
  /// The type of what is floating point in the file: torch::kHalf, torch::kBFloat16. Not given, the
  /// one that each tensor has.
  std::optional<torch::Dtype> dtype{};
};

namespace weights {

/// Writes tensors under the names that they have.
inline void save_tensors(NamedTensors tensors, const std::filesystem::path& path,
                         const SaveOptions& options) {
  if (options.dtype && !c10::isFloatingType(*options.dtype))
    throw WeightsError(fmt::format(
        "mnv3: cannot write {}: weights are saved in a floating-point type, such as torch::kHalf, "
        "but were asked for in {}",
        path.string(), c10::toString(*options.dtype)));
  if (const PublishedWeights* const published = published_as(path.string()); published != nullptr)
    throw WeightsError(fmt::format(
        "mnv3: cannot write {}: that is the name of {}, and `load` would refuse any other weights "
        "under it. Choose another name",
        path.string(), published->name));
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : tensors) {
    name = options.prefix + name;
    if (options.dtype && tensor.defined() && tensor.is_floating_point())
      tensor = tensor.to(*options.dtype);
  }
  if (path.extension() == ".safetensors")
    write_safetensors(path, tensors);
  else
    write_pth(path, tensors);
}

}  // namespace weights

/// Writes the network's state dict: as a safetensors file if the path ends in ".safetensors", else
/// as `torch.save(model.state_dict(), path)` does in Python, where
/// `model.load_state_dict(torch.load(path), strict=True)` reads it: torchvision's model, or timm's
/// or another family's where `Settings::names` says so.
///
/// Errors  WeightsError if the file cannot be written, or has the name of published weights; a file
///         that was there before is then unchanged.
template <architecture Arch, class Taps>
void save(const MobileNetV3<Arch, Taps>& net, const std::filesystem::path& path,
          const SaveOptions& options = {}) {
  net->check_children();
  weights::save_tensors(weights::to_file_names(state_dict(*net), net->definition()), path, options);
}

/// The same for a network with a head of one's own: "backbone.features...", "head...".
template <class Backbone, class Head>
void save(const WithHead<Backbone, Head>& net, const std::filesystem::path& path,
          const SaveOptions& options = {}) {
  net->check_children();
  weights::save_tensors(state_dict(*net), path, options);
}

/// The same for a module of any kind, under its own names, which are torchvision's for the networks
/// of ours that it has: `load_state_dict(strict=True)` of the same module in Python reads it.
inline void save(const torch::nn::Module& module, const std::filesystem::path& path,
                 const SaveOptions& options = {}) {
  weights::save_tensors(state_dict(module), path, options);
}
template <class Contained>
void save(const torch::nn::ModuleHolder<Contained>& module, const std::filesystem::path& path,
          const SaveOptions& options = {}) {
  save(static_cast<const torch::nn::Module&>(*module), path, options);
}

}  // namespace mnv3
