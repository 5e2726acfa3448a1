// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/weights/error.hpp>
#include <mnv3/weights/pickle_value.hpp>
#include <mnv3/weights/tensor_entry.hpp>

namespace mnv3::detail {

/// Finds the tensors in what `torch.save` was given: a state dict, or dicts, lists and tuples
/// around state dicts, whose keys and indices become the names, joined by dots.
///
/// Errors  WeightsError, without the file's name: two tensors of one name, a kind of tensor or
///         storage that is not supported, values that are not what torch writes, absurd nesting.
/// Source  torch 1.13.1 torch/_tensor.py `_reduce_ex_internal`, torch/_utils.py,
///         torch/nn/parameter.py; torch 2.6 for `_rebuild_tensor_v3` and
///         `_rebuild_parameter_with_state`.
class PthEntries {
 public:
  explicit PthEntries(const pickle::Value& root) { walk({}, root, 0); }

  std::vector<TensorEntry> entries;
  std::size_t skipped = 0;  ///< Values that are no tensors.
  std::string class_found;  ///< The first object that is no tensor.

 private:
  using Value = pickle::Value;
  using Kind = pickle::Kind;

  // Values can be shared, so a small file can describe an endless tree.
  static constexpr int max_depth = 64;
  static constexpr std::size_t max_effort = std::size_t{1} << 26;

  void walk(const std::string& name, const Value& value, int depth) {
    effort_ += 1 + name.size();
    if (depth > max_depth || effort_ > max_effort)
      throw WeightsError("its values nest without end");
    switch (value.kind) {
      case Kind::dict:
        for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
          const Value& key = *value.items[i];
          if (key.kind == Kind::text)
            walk(join(name, key.text), *value.items[i + 1], depth + 1);
          else if (key.kind == Kind::integer)
            walk(join(name, std::to_string(key.integer)), *value.items[i + 1], depth + 1);
          else
            ++skipped;
        }
        break;
      case Kind::list:
      case Kind::tuple:
        for (std::size_t i = 0; i < value.items.size(); ++i)
          walk(join(name, std::to_string(i)), *value.items[i], depth + 1);
        break;
      case Kind::object:
        return object(name, *value.items[0], *value.items[1], depth);
      default:
        ++skipped;
    }
  }

  static std::string join(const std::string& parent, std::string_view name) {
    return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
  }

  void object(const std::string& name, const Value& callable, const Value& arguments, int depth) {
    const auto& args = arguments.items;
    const auto calls = [&](std::string_view function, std::size_t least) {
      if (!callable.is_global("torch._utils", function)) return false;
      if (args.size() < least) fail(name, "has too few values");
      return true;
    };
    if (calls("_rebuild_parameter", 1) || calls("_rebuild_parameter_with_state", 1))
      return walk(name, *args[0], depth + 1);
    if (calls("_rebuild_tensor", 4) || calls("_rebuild_tensor_v2", 4))
      return add(name, *args[0], *args[1], *args[2], *args[3], nullptr);
    if (calls("_rebuild_tensor_v3", 7))
      return add(name, *args[0], *args[1], *args[2], *args[3], args[6]);
    // A subclass of Tensor, or a Tensor with attributes: (function, type, arguments, state).
    if (callable.is_global("torch._tensor", "_rebuild_from_type_v2") && args.size() >= 3) {
      if (depth >= max_depth) throw WeightsError("its values nest without end");
      return object(name, *args[0], *args[2], depth + 1);
    }
    const std::string full_name = pickle::dotted_name(callable);
    if (full_name.starts_with("torch._utils._rebuild"))
      fail(name, fmt::format("is of a kind that is not supported ({})", full_name));
    ++skipped;
    if (class_found.empty()) class_found = full_name;
  }

  void add(const std::string& name, const Value& storage, const Value& offset, const Value& shape,
           const Value& strides, const Value* dtype) {
    TensorEntry entry{.name = name};
    entry.offset = integer(name, offset);
    entry.shape = integers(name, shape);
    entry.strides = integers(name, strides);

    if (storage.kind != Kind::persistent || storage.items[0]->items.size() < 5)
      fail(name, "has no storage");
    const auto& id = storage.items[0]->items;  // "storage", type, key, device, number of elements
    if (id[0]->text != "storage" || id[2]->kind != Kind::text) fail(name, "has no storage");
    entry.storage = id[2]->text;
    const bool is_untyped = id[1]->is_global("torch.storage", "UntypedStorage");
    if (is_untyped != (dtype != nullptr)) fail(name, "has no dtype");
    entry.dtype = is_untyped ? find_dtype(name, *dtype, &PthDtype::name)
                             : find_dtype(name, *id[1], &PthDtype::storage);
    const std::int64_t unit = is_untyped ? 1 : bytes_per_element(entry.dtype);
    if (__builtin_mul_overflow(integer(name, *id[4]), unit, &entry.storage_bytes))
      fail(name, "has an impossible storage");

    if (!names_.insert(name).second) fail(name, "is there twice");
    entries.push_back(std::move(entry));
  }

  static at::ScalarType find_dtype(const std::string& name, const Value& global,
                                   std::string_view PthDtype::*column) {
    for (const PthDtype& dtype : pth_dtypes)
      if (global.is_global("torch", dtype.*column)) return dtype.type;
    fail(name,
         fmt::format("is of a dtype that is not supported ({})", pickle::dotted_name(global)));
  }

  static std::int64_t integer(const std::string& name, const Value& value) {
    if (value.kind != Kind::integer) fail(name, "has an impossible shape");
    return value.integer;
  }

  static std::vector<std::int64_t> integers(const std::string& name, const Value& value) {
    if (value.kind != Kind::tuple && value.kind != Kind::list)
      fail(name, "has an impossible shape");
    std::vector<std::int64_t> numbers;
    for (const Value* const item : value.items) numbers.push_back(integer(name, *item));
    return numbers;
  }

  [[noreturn]] static void fail(const std::string& name, std::string_view what) {
    throw WeightsError(fmt::format("tensor '{}' {}", name, what));
  }

  std::size_t effort_ = 0;
  std::unordered_set<std::string> names_;
};

}  // namespace mnv3::detail
