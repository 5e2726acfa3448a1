// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace files {

/// A tensor of a safetensors file.
struct Item {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

/// A safetensors file, as bytes.
inline std::string safetensors_of(const std::vector<Item>& items) {
  std::string header, data;
  for (const Item& item : items) {
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          header.empty() ? "" : ",", item.name, item.dtype,
                          fmt::join(item.shape, ","), data.size(), data.size() + item.bytes.size());
    data += item.bytes;
  }
  header = "{" + header + "}";
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + data;
}

/// Numbers as they stand in memory.
template <class T>
std::string bytes_of(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

}  // namespace files
