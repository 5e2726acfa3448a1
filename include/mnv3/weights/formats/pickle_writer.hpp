// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <mnv3/weights/formats/pickle_cursor.hpp>

namespace mnv3::weights::pickle {

/// Writes the one pickle that is needed here, a state dict, in protocol 2 and without memo.
///
/// Source  torch 1.13.1 torch/serialization.py `_save`, torch/_tensor.py `_reduce_ex_internal`.
class StateDictWriter {
 public:
  StateDictWriter() {
    put(Op::proto);
    put_number(std::uint8_t{2});
    ordered_dict();
    put(Op::mark);
  }

  /// Adds a contiguous tensor that has a storage of its own.
  ///
  /// @param storage_type  "FloatStorage", in module `torch`.
  /// @param storage_key   Its values are the record `data/<storage_key>`.
  void tensor(std::string_view name, std::string_view storage_type, std::string_view storage_key,
              std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
              std::int64_t numel) {
    text(name);
    global("torch._utils", "_rebuild_tensor_v2");
    put(Op::mark);
    storage(storage_type, storage_key, numel);
    integer(0);  // offset
    integers(sizes);
    integers(strides);
    put(Op::newfalse);  // requires_grad
    ordered_dict();     // backward hooks
    put(Op::tuple);
    put(Op::reduce);
  }

  /// The finished pickle.
  std::string finish() && {
    put(Op::setitems);
    put(Op::stop);
    return std::move(bytes_);
  }

 private:
  void put(Op op) { bytes_ += static_cast<char>(op); }

  template <class Number>
  void put_number(Number number) {
    char raw[sizeof number];
    std::memcpy(raw, &number, sizeof number);
    bytes_.append(raw, sizeof raw);
  }

  void text(std::string_view text) {
    put(Op::binunicode);
    put_number(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }

  void integer(std::int64_t value) {
    if (std::in_range<std::int32_t>(value)) {
      put(Op::binint);
      put_number(static_cast<std::int32_t>(value));
    } else {
      put(Op::long1);
      put_number(std::uint8_t{sizeof value});
      put_number(value);
    }
  }

  void integers(std::span<const std::int64_t> values) {
    put(Op::mark);
    for (const std::int64_t value : values) integer(value);
    put(Op::tuple);
  }

  void global(std::string_view module, std::string_view name) {
    put(Op::global);
    bytes_ += module;
    bytes_ += '\n';
    bytes_ += name;
    bytes_ += '\n';
  }

  void ordered_dict() {
    global("collections", "OrderedDict");
    put(Op::empty_tuple);
    put(Op::reduce);
  }

  void storage(std::string_view type, std::string_view key, std::int64_t numel) {
    put(Op::mark);
    text("storage");
    global("torch", type);
    text(key);
    text("cpu");
    integer(numel);
    put(Op::tuple);
    put(Op::binpersid);
  }

  std::string bytes_;
};

}  // namespace mnv3::weights::pickle
