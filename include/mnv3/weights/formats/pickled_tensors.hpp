// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/dtype.hpp>
#include <mnv3/weights/formats/pickle_value.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3::weights {

/// Finds the tensors in what `torch.save` was given: a state dict, or dicts, lists and tuples
/// around state dicts, whose keys and indices become the names, joined by dots. In a TorchScript
/// archive, a module's attributes are what a dict's keys are.
///
/// Errors  WeightsError, without the file's name: two tensors of one name, a kind of tensor or
///         storage that is not supported, values that are not what torch writes, absurd nesting.
/// Source  torch 1.13.1 torch/_tensor.py `_reduce_ex_internal`, torch/_utils.py,
///         torch/nn/parameter.py, torch/serialization.py `persistent_id`; torch 2.6 for
///         `_rebuild_tensor_v3` and `_rebuild_parameter_with_state`.
class PickledTensors {
 public:
  /// A storage as the pickle describes it.
  struct Source {
    std::string key;
    std::int64_t elements = 0;  ///< In units of `unit` bytes.
    std::int64_t unit = 0;
    std::uint64_t bytes() const { return static_cast<std::uint64_t>(elements * unit); }
  };

  explicit PickledTensors(const pickle::Document& document) {
    find_storages(document);
    walk({}, *document.root, 0);
    if (entries.empty()) throw WeightsError(describe_absence(*document.root));
  }

  std::vector<TensorEntry> entries;  ///< Whose `storage` is a position in `storages`.
  std::vector<Source> storages;      ///< All that the pickle mentions.
  std::size_t skipped = 0;           ///< Values that are no tensors.

 private:
  using Value = pickle::Value;
  using Kind = pickle::Kind;

  /// A part of a storage, as files of torch before 0.5 have them.
  struct View {
    std::size_t storage = 0;
    std::int64_t offset = 0;
  };

  // Values can be shared, so a small file can describe an endless tree.
  static constexpr int max_depth = 64;
  static constexpr std::size_t max_effort = std::size_t{1} << 23;

  /// Storages are "persistent": outside of the pickle, which has only
  /// ("storage", type, key, device, number of elements).
  void find_storages(const pickle::Document& document) {
    std::unordered_map<std::string_view, std::size_t> by_key;
    for (const Value& value : document.values) {
      if (value.kind != Kind::persistent) continue;
      const auto& id = value.items[0]->items;
      if (id.size() < 5 || id[0]->text != "storage" || id[2]->kind != Kind::text) continue;
      const std::int64_t unit = unit_of(*id[1]);
      if (unit == 0 || id[4]->kind != Kind::integer) continue;
      Source source{.key = std::string(id[2]->text), .elements = id[4]->integer, .unit = unit};
      std::int64_t bytes = 0;
      if (source.elements < 0 || __builtin_mul_overflow(source.elements, unit, &bytes))
        throw WeightsError(fmt::format("storage '{}' has an impossible size", source.key));
      const auto [known, is_new] = by_key.try_emplace(id[2]->text, storages.size());
      if (is_new) {
        if (storages.size() >= max_tensors) throw WeightsError("it has too many storages");
        storages.push_back(std::move(source));
      } else if (storages[known->second].bytes() != source.bytes()) {
        throw WeightsError(fmt::format("storage '{}' has two sizes", source.key));
      }
      View view{.storage = known->second};
      if (id.size() > 5 && id[5]->kind == Kind::tuple && id[5]->items.size() == 3) {
        const Value& offset = *id[5]->items[1];
        if (offset.kind != Kind::integer || offset.integer < 0)
          throw WeightsError(fmt::format("storage '{}' has an impossible view", id[2]->text));
        view.offset = offset.integer;
      }
      views_.emplace(&value, view);
    }
  }

  /// The size of one element of a storage of that class; 0 if it is none that we know.
  static std::int64_t unit_of(const Value& type) {
    if (type.is_global("torch.storage", "UntypedStorage")) return 1;
    for (const DtypeRow& row : dtypes)
      if (type.is_global("torch", row.storage)) return row.bytes;
    // Not ours, but in a legacy file one has to know where the next begins.
    if (type.is_global("torch", "ComplexFloatStorage")) return 8;
    if (type.is_global("torch", "ComplexDoubleStorage")) return 16;
    return 0;
  }

  void walk(const std::string& name, const Value& value, int depth) {
    effort_ += 1 + name.size();
    if (depth > max_depth || effort_ > max_effort)
      throw WeightsError("its values nest without end");
    switch (value.kind) {
      case Kind::dict:
        return walk_dict(name, value, depth);
      case Kind::list:
      case Kind::tuple:
        for (std::size_t i = 0; i < value.items.size(); ++i)
          walk(join(name, std::to_string(i)), *value.items[i], depth + 1);
        break;
      case Kind::object:
        return object(name, value, *value.items[1], depth);
      default:
        ++skipped;
    }
  }

  void walk_dict(const std::string& name, const Value& dict, int depth) {
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const Value& key = *dict.items[i];
      if (key.kind == Kind::text)
        walk(join(name, key.text), *dict.items[i + 1], depth + 1);
      else if (key.kind == Kind::integer)
        walk(join(name, std::to_string(key.integer)), *dict.items[i + 1], depth + 1);
      else
        ++skipped;
    }
  }

  static std::string join(const std::string& parent, std::string_view name) {
    return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
  }

  void object(const std::string& name, const Value& value, const Value& arguments, int depth) {
    const Value& callable = *value.items[0];
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
      const Value inner{.kind = Kind::object, .items = {args[0], args[2]}};
      return object(name, inner, *args[2], depth + 1);
    }
    const std::string full_name = pickle::dotted_name(callable);
    if (full_name.starts_with("torch._utils._rebuild"))
      fail(name, fmt::format("is of a kind that is not supported ({})", full_name));
    // A TorchScript module: its class is named after the Python it was made of.
    if (full_name.starts_with("__torch__.") && value.items.size() > 2 &&
        value.items[2]->kind == Kind::dict)
      return walk_dict(name, *value.items[2], depth + 1);
    ++skipped;
    if (class_found_.empty()) class_found_ = full_name;
  }

  void add(const std::string& name, const Value& storage, const Value& offset, const Value& shape,
           const Value& strides, const Value* dtype) {
    TensorEntry entry{.name = name};
    entry.offset = integer(name, offset);
    entry.shape = integers(name, shape);
    entry.strides = integers(name, strides);

    if (storage.kind != Kind::persistent || storage.items[0]->items.size() < 5 ||
        storage.items[0]->items[0]->text != "storage")
      fail(name, "has no storage");
    const Value& type = *storage.items[0]->items[1];
    const bool is_untyped = type.is_global("torch.storage", "UntypedStorage");
    if (is_untyped != (dtype != nullptr)) fail(name, "has no dtype");
    entry.dtype = is_untyped ? find_dtype(name, *dtype, &DtypeRow::name)
                             : find_dtype(name, type, &DtypeRow::storage);
    const auto view = views_.find(&storage);
    if (view == views_.end()) fail(name, "has no storage");
    entry.storage = view->second.storage;
    if (__builtin_add_overflow(entry.offset, view->second.offset, &entry.offset))
      fail(name, "has an impossible shape");
    element_span(entry, storages[entry.storage].bytes());

    if (entries.size() >= max_tensors) throw WeightsError("it has too many tensors");
    if (!names_.insert(name).second) fail(name, "is there twice");
    entries.push_back(std::move(entry));
  }

  static Dtype find_dtype(const std::string& name, const Value& global,
                          std::string_view DtypeRow::*column) {
    for (const DtypeRow& row : dtypes)
      if (global.is_global("torch", row.*column)) return row.dtype;
    fail(name,
         fmt::format("is of a dtype that is not supported ({})", pickle::dotted_name(global)));
  }

  static std::int64_t integer(const std::string& name, const Value& value) {
    if (value.kind != Kind::integer) fail(name, "has an impossible shape");
    return value.integer;
  }

  static std::vector<std::int64_t> integers(const std::string& name, const Value& value) {
    if ((value.kind != Kind::tuple && value.kind != Kind::list) || value.items.size() > max_rank)
      fail(name, "has an impossible shape");
    std::vector<std::int64_t> numbers;
    for (const Value* const item : value.items) numbers.push_back(integer(name, *item));
    return numbers;
  }

  [[noreturn]] static void fail(const std::string& name, std::string_view what) {
    throw WeightsError(fmt::format("tensor '{}' {}", name, what));
  }

  std::string describe_absence(const Value& root) const {
    std::string text = "there are no tensors in it";
    if (root.kind == Kind::object)
      text = fmt::format("it is a pickled object of class {}", pickle::dotted_name(*root.items[0]));
    else if (!class_found_.empty())
      text += fmt::format(", but an object of class {}", class_found_);
    return text + ". Save the state dict in Python: torch.save(model.state_dict(), path)";
  }

  std::size_t effort_ = 0;
  std::string class_found_;  // the first object that is no tensor
  std::unordered_set<std::string> names_;
  std::unordered_map<const Value*, View> views_;
};

}  // namespace mnv3::weights
