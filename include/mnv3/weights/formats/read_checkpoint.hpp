// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/foreign_file.hpp>
#include <mnv3/weights/formats/safetensors.hpp>
#include <mnv3/weights/formats/torch_legacy.hpp>
#include <mnv3/weights/formats/torch_zip.hpp>

namespace mnv3::weights {

/// Reads what is in a weights file, whatever it is called: its first bytes tell its format.
///
/// Errors  WeightsError, without the file's name.
inline Checkpoint read_checkpoint(const InputFile& file) {
  constexpr std::uint64_t head_bytes = 1 << 12;
  const std::string head = file.read(0, std::min(file.size(), head_bytes), head_bytes);
  if (head.starts_with("PK")) return read_torch_zip(file);
  if (is_legacy(head)) return read_torch_legacy(file);
  constexpr std::string_view high_half_of_size("\0\0\0\0{", 5);
  if (head.size() > 8 && std::string_view(head).substr(4).starts_with(high_half_of_size))
    return read_safetensors(file);
  throw WeightsError(describe_foreign_file(head));
}

}  // namespace mnv3::weights
