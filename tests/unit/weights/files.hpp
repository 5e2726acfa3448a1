// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caffe2/serialize/inline_container.h>

#include <mnv3/weights/error.hpp>

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

/// What the WeightsError says that `action` throws; empty if it throws nothing.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const mnv3::WeightsError& error) {
    return error.what();
  }
  return {};
}

}  // namespace files
