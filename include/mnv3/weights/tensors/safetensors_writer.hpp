// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <mnv3/weights/bytes/atomic_file.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/torch_dtype.hpp>
#include <mnv3/weights/tensors/torch_errors.hpp>
#include <mnv3/weights/tensors/writable.hpp>

namespace mnv3 {

namespace weights {

/// A text as JSON has it.
inline std::string json_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ')
      quoted += fmt::format("\\u{:04x}", c);
    else if (c == '"' || c == '\\')
      (quoted += '\\') += c;
    else
      quoted += c;
  }
  return quoted + '"';
}

/// What stands before the values: name, dtype, shape and place of each tensor.
inline std::string safetensors_header(const NamedTensors& tensors) {
  std::string header = "{";
  std::size_t begin = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t end = begin + tensor.nbytes();
    header += fmt::format(R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          begin == 0 && header.size() == 1 ? "" : ",", json_text(name),
                          row_of(tensor.scalar_type())->safetensors, fmt::join(tensor.sizes(), ","),
                          begin, end);
    begin = end;
  }
  header += '}';
  constexpr std::size_t alignment = 8;  // of the values in the file
  header.append((alignment - header.size() % alignment) % alignment, ' ');
  return header;
}

}  // namespace weights

/// Writes a state dict as a safetensors file, in that order.
///
/// The tensors may be on any device and have any strides; they are written dense. The file appears
/// when it is complete; until then, and if this throws, a file that was there before is unchanged.
///
/// Errors  WeightsError, which names the file and the tensor or the system's reason.
/// Source  github.com/huggingface/safetensors, README.md "Format".
inline void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  weights::name_file_in_torch_errors("write", path, [&] {
    weights::check_writable(tensors);
    const std::string header = weights::safetensors_header(tensors);
    const std::uint64_t size = header.size();
    weights::AtomicFile file(path);
    file.write(&size, sizeof size);
    file.write(header.data(), header.size());
    for (const auto& [name, tensor] : tensors) {
      const torch::Tensor dense = weights::dense_on_cpu(tensor);
      file.write(dense.data_ptr(), dense.nbytes());
      file.check();
    }
    file.commit();
  });
}

}  // namespace mnv3
