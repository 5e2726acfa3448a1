// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string>
#include <string_view>

#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/bytes/zip.hpp>

namespace mnv3::weights {

/// What a zip archive is that `torch.save` did not write, and what to do about it.
inline std::string describe_foreign_zip(const ZipDirectory& zip) {
  constexpr std::array<std::string_view, 6> of_weights{".pth", ".pt",   ".safetensors",
                                                       ".bin", ".ckpt", ".pkl"};
  for (const std::string_view end : of_weights)
    for (const auto& [name, record] : zip.records())
      if (name.ends_with(end))
        return text("it is a zip archive that holds '", printable(name), "'. Unpack it first");
  for (const auto& [name, record] : zip.records()) {
    if (name.ends_with(".npy"))
      return "it is an archive of NumPy arrays (.npz). Save tensors in Python: "
             "torch.save({name: torch.from_numpy(array) ...}, path)";
    if (name.ends_with(".h5") || name.ends_with(".keras"))
      return "it is a zip archive of Keras, whose networks are others";
    if (name.ends_with(".pb"))
      return text("it is a zip archive with a TensorFlow model in it ('", printable(name), "')");
  }
  std::string what =
      "it is a zip archive, but not one that torch.save wrote: there is no data.pkl in it";
  if (!zip.records().empty())
    what += text(", but '", printable(zip.records().begin()->first), '\'');
  return what;
}

}  // namespace mnv3::weights
