// SPDX-License-Identifier: MIT
// What our reader finds in weights files, for scripts: a line for each path on standard input, which
// is "PATH<tab>seconds<tab>" and then "refused<tab>why" or "loaded" and, for each tensor,
// "<tab>name=dtype:shape:CRC of its values in the order of its dimensions", all printable.
#include <mnv3/weights/formats/read_checkpoint.hpp>
#include <mnv3/weights/formats/tensor_values.hpp>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace {

using namespace mnv3;
using namespace mnv3::weights;

std::string hex(std::string_view text) {
  std::string digits;
  for (const char c : text) digits += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return digits;
}

/// The CRC of a tensor's values, dense.
std::uint32_t crc_of(const TensorValues& values, const TensorEntry& entry) {
  std::vector<unsigned char> span(values.span_bytes(entry));
  const TensorValues::Part part{&entry, span.data(), span.size()};
  if (!span.empty()) values.copy(std::span(&part, 1));
  const auto bytes = static_cast<std::size_t>(row_of(entry.dtype).bytes);
  std::size_t count = 1;
  for (const std::int64_t size : entry.shape) count *= static_cast<std::size_t>(size);
  constexpr std::size_t most = 1 << 22;  // of what is expanded
  if (count > most) return 0;
  std::vector<unsigned char> dense;
  dense.reserve(count * bytes);
  std::vector<std::int64_t> index(entry.shape.size());
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t at = 0;
    for (std::size_t d = 0; d < index.size(); ++d)
      at += static_cast<std::size_t>(index[d] * entry.strides[d]);
    const unsigned char* const from = span.data() + at * bytes;
    dense.insert(dense.end(), from, from + bytes);
    for (std::size_t d = index.size(); d-- > 0;) {
      if (++index[d] < entry.shape[d]) break;
      index[d] = 0;
    }
  }
  return mnv3::weights::crc32(0, dense.data(), dense.size());
}

std::string look_at(const std::string& path) {
  try {
    const InputFile file{std::filesystem::path(path)};
    const Checkpoint checkpoint = read_checkpoint(file);
    const TensorValues values(file, checkpoint);
    std::string line = "loaded";
    for (const TensorEntry& entry : checkpoint.entries) {
      line += "\t" + hex(entry.name) + "=";
      if (entry.unreadable.empty())
        line += fmt::format("{}:{}:{:08x}", row_of(entry.dtype).name, fmt::join(entry.shape, ","),
                            crc_of(values, entry));
      else
        line += "unreadable:" + entry.unreadable;
    }
    return line;
  } catch (const WeightsError& error) {
    return std::string("refused\t") + error.what();
  }
}

}  // namespace

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string line = look_at(path);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::cout << fmt::format("{}\t{:.4f}\t{}", path, seconds.count(), line) << std::endl;
  }
}
