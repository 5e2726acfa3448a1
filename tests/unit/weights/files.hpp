// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caffe2/serialize/inline_container.h>
#include <torch/types.h>

#include <mnv3/weights/state_dict.hpp>

#include "folder.hpp"

namespace files {

/// A zip archive as `torch.save` makes it, with those records.
inline std::string zip(const std::vector<std::pair<std::string, std::string>>& records,
                       bool compress = false) {
  std::string bytes;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, std::size_t size) {
    bytes.append(static_cast<const char*>(data), size);
    return size;
  });
  for (const auto& [name, data] : records)
    writer.writeRecord(name, data.data(), data.size(), compress);
  writer.writeEndOfFile();
  return bytes;
}

/// Whether two modules have the same tensors under the same names.
inline bool same_weights(const torch::nn::Module& a, const torch::nn::Module& b) {
  const mnv3::NamedTensors x = mnv3::state_dict(a);
  const mnv3::NamedTensors y = mnv3::state_dict(b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& i, const auto& j) {
    return i.first == j.first && torch::equal(i.second, j.second);
  });
}

}  // namespace files
