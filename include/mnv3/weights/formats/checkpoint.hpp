// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mnv3/weights/bytes/zip_record.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3 {

/// What wrote a weights file.
enum class Format : std::uint8_t {
  torch_zip,     ///< `torch.save`, since torch 1.6.
  torch_legacy,  ///< `torch.save`, before that or with `_use_new_zipfile_serialization=False`.
  torchscript,   ///< `torch.jit.save`.
  safetensors,
};

constexpr std::string_view name_of(Format format) {
  switch (format) {
    case Format::torch_zip:
      return "torch.save (zip)";
    case Format::torch_legacy:
      return "torch.save (legacy)";
    case Format::torchscript:
      return "TorchScript";
    case Format::safetensors:
      return "safetensors";
  }
  return "?";
}

namespace weights {

/// Bytes that one or several tensors are made of.
struct Storage {
  std::string name;                   ///< For errors; fit to print.
  std::uint64_t bytes = 0;            ///< What its tensors may use of it.
  std::uint64_t begin = 0;            ///< Position in the file, unless it is
  std::optional<ZipRecord> record{};  ///< a record of an archive, whose header is yet to be read.
};

/// What is in a weights file: every tensor's name, type and place, but no values.
struct Checkpoint {
  Format format = Format::torch_zip;
  std::vector<TensorEntry> entries{};
  std::vector<Storage> storages{};
  std::size_t skipped_values = 0;  ///< Values that are no tensors.
};

}  // namespace weights

}  // namespace mnv3
