// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <mnv3/weights/checkpoint_file.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3 {

/// What is in a weights file: names, types and shapes of its tensors, in its order. Their values are
/// not read. Names are the file's, whatever characters they have.
///
/// Errors  WeightsError if the file cannot be read.
inline std::vector<TensorEntry> list(const std::filesystem::path& path) {
  return CheckpointFile(path).entries();
}

}  // namespace mnv3
