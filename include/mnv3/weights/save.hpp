// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>

#include <mnv3/config/arch.hpp>
#include <mnv3/nn/mobilenet_v3.hpp>
#include <mnv3/weights/matching/family.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/pth_writer.hpp>
#include <mnv3/weights/tensors/safetensors_writer.hpp>

namespace mnv3 {

/// Writes the network's state dict: as a safetensors file if the path ends in ".safetensors", else
/// as `torch.save(model.state_dict(), path)` does in Python, where
/// `model.load_state_dict(torch.load(path), strict=True)` reads it: torchvision's model, or timm's
/// where `Arch::names` says so.
///
/// Errors  WeightsError if the file cannot be written; a file that was there before is then
///         unchanged.
template <architecture Arch, class Taps>
void save(const MobileNetV3<Arch, Taps>& net, const std::filesystem::path& path) {
  const NamedTensors tensors = weights::to_file_names(state_dict(*net), definition_of<Arch>);
  if (path.extension() == ".safetensors")
    write_safetensors(path, tensors);
  else
    write_pth(path, tensors);
}

}  // namespace mnv3
