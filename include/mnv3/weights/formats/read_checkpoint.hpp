// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/safetensors.hpp>
#include <mnv3/weights/formats/torch_legacy.hpp>
#include <mnv3/weights/formats/torch_zip.hpp>

namespace mnv3::weights {

/// What a file is that is none of ours, and what to do about it. `head`: its first bytes.
inline std::string describe_foreign_file(std::string_view head) {
  using namespace std::string_view_literals;
  const auto has = [&](std::size_t at, std::string_view magic) {
    return head.size() >= at && head.substr(at).starts_with(magic);
  };
  if (head.empty()) return "it is empty";
  if (head[0] == '\x80' && head.size() > 1 && head[1] >= 2 && head[1] <= 5)
    return "it is a Python pickle that torch.save did not write. Save a state dict with torch.save";
  if (has(0, "\x1f\x8b")) return "it is compressed with gzip. Unpack it first";
  if (has(257, "ustar"))
    return "it is a tar archive. Unpack it first; if torch 0.1 wrote it, re-save it in Python: "
           "torch.save(torch.load(path), new_path)";
  if (has(0, "\x89HDF")) return "it is an HDF5 file, as Keras writes, whose networks are others";
  if (has(0, "version https://git-lfs"))
    return "it is a Git LFS pointer, not the file itself. Fetch that with: git lfs pull";
  if (const std::size_t text = head.find_first_not_of(" \t\r\n\xef\xbb\xbf"); has(text, "<"))
    return "it is a web page or XML. Was it downloaded from a link that needs a log-in?";
  return "it is none of: a zip archive or legacy file of torch.save, a TorchScript archive, a "
         "safetensors file";
}

/// Reads what is in a weights file, whatever it is called: its first bytes tell its format.
///
/// Errors  WeightsError, without the file's name.
inline Checkpoint read_checkpoint(const InputFile& file) {
  const std::string head = file.read(0, std::min<std::uint64_t>(file.size(), 512));
  if (head.starts_with("PK")) return read_torch_zip(file);
  if (is_legacy(head)) return read_torch_legacy(file);
  constexpr std::string_view high_half_of_size("\0\0\0\0{", 5);
  if (head.size() > 8 && std::string_view(head).substr(4).starts_with(high_half_of_size))
    return read_safetensors(file);
  throw WeightsError(describe_foreign_file(head));
}

}  // namespace mnv3::weights
