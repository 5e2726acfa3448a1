// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

#include <mnv3/weights/error.hpp>

namespace mnv3::weights {

/// Reads a zip archive's numbers from bytes, and never past their end.
///
/// Errors  WeightsError, without the file's name.
class LittleEndian {
 public:
  explicit LittleEndian(std::string_view bytes) : bytes_(bytes) {}

  template <class Integer>
  Integer number() {
    Integer value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view take(std::size_t count) {
    if (count > bytes_.size()) throw WeightsError("the zip archive's directory is damaged");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

  std::size_t size() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

}  // namespace mnv3::weights
