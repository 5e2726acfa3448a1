// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/dtype.hpp>
#include <mnv3/weights/formats/pickle_value.hpp>
#include <mnv3/weights/formats/pickled_storages.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>

namespace mnv3::weights {

/// There is none in what `torch.save` was given.
class NoTensors : public WeightsError {
 public:
  using WeightsError::WeightsError;
};

/// Finds the tensors in what `torch.save` was given: a state dict, or dicts, lists and tuples
/// around state dicts, whose keys and indices become the names, joined by dots. In a TorchScript
/// archive, a module's attributes are what a dict's keys are.
///
/// Each value is looked at once to find out where there are tensors below, however often it is
/// used; names are made only on the way to a tensor. So time is linear in the pickle's size, but
/// for the tensors themselves, whose number and names are limited.
///
/// Errors  WeightsError, without the file's name: two tensors of one name, values that are not what
///         torch writes or of which Python's dicts would keep others, tensors in absurd depth.
///         A tensor of a kind that cannot be read is none: see `TensorEntry::unreadable`.
/// Source  torch 1.13.1 torch/_tensor.py `_reduce_ex_internal`, torch/_utils.py,
///         torch/nn/parameter.py; torch 2.6 for `_rebuild_tensor_v3`, `_rebuild_wrapper_subclass`
///         and `_rebuild_parameter_with_state`; torch 0.3 for `Variable.__reduce_ex__`; torch 1.13.1
///         torch/_tensor.py `__setstate__` for what was before that.
class PickledTensors {
 public:
  explicit PickledTensors(const pickle::Document& document)
      : storages_(document), effort_left_(limits::values_of_any_pickle + 16 * document.size) {
    if (find_tensors(*document.root)) walk(*document.root, 0);
    if (entries.empty()) throw NoTensors(describe_absence(*document.root));
  }

  /// All that the pickle mentions.
  const std::vector<PickledStorages::Source>& storages() const { return storages_.sources; }

  std::vector<TensorEntry> entries;  ///< Whose `storage` is a position in `storages()`.
  std::size_t skipped = 0;           ///< Values that are no tensors.

 private:
  using Value = pickle::Value;
  using Kind = pickle::Kind;

  /// What Python would call, and with what.
  struct Call {
    const Value* callable;
    const Value* arguments;

    Value::Items args() const { return arguments->items(); }
    bool is(std::string_view module, std::string_view name) const {
      return callable->is_global(module, name);
    }
    bool is_in(std::string_view module, std::string_view prefix) const {
      return callable->kind == Kind::global && callable->items()[0]->text() == module &&
             callable->items()[1]->text().starts_with(prefix);
    }
  };

  /// The call that makes an object. A subclass of Tensor, or a Tensor with attributes, is
  /// (function, type, arguments, state) around that.
  static Call call_of(const Value& object) {
    Call call{object.items()[0], object.items()[1]};
    for (std::size_t depth = 0; call.is("torch._tensor", "_rebuild_from_type_v2") ||
                                call.is("torch._tensor", "_rebuild_from_type") ||
                                call.is("torch.tensor", "_rebuild_from_type");
         ++depth) {
      if (depth == limits::depth) throw WeightsError("its values nest without end");
      const auto args = call.args();
      if (args.size() < 3 || args[2]->kind != Kind::tuple) break;
      if (args.size() > 3) check_attributes(*args[3]);
      call = {args[0], args[2]};
    }
    return call;
  }

  /// An attribute of a tensor that Python would set must not be its values.
  static void check_attributes(const Value& state) {
    const auto refuse = [] { throw WeightsError("it replaces the values of a tensor"); };
    if (state.kind == Kind::tuple || state.kind == Kind::list) {
      for (const Value* const part : state.items().first(
               std::min<std::size_t>(state.items().size(), 2)))  // attributes, slots
        if (part->kind == Kind::dict) check_attributes(*part);
    } else if (state.kind == Kind::dict && (state.mark & attributes_checked) == 0) {
      state.mark |= attributes_checked;
      for (std::size_t i = 0; i < state.items().size(); i += 2)
        for (const std::string_view name : {"data", "real", "imag"})
          if (state.items()[i]->text() == name) refuse();
    }
  }

  /// What the object is but a wrapper of; null if it is more.
  static const Value* wrapped_by(const Value& object, const Call& call) {
    const auto args = call.args();
    const bool is_parameter = call.is("torch._utils", "_rebuild_parameter") ||
                              call.is("torch._utils", "_rebuild_parameter_with_state") ||
                              call.is("torch.nn.parameter", "Parameter") ||
                              call.is("torch.autograd.variable", "Variable");
    if (is_parameter && !args.empty()) {
      if (call.is("torch._utils", "_rebuild_parameter_with_state") && args.size() > 3)
        check_attributes(*args[3]);
      return args[0];
    }
    // As torch 0.1 wrote a Variable: values, gradient, ...
    if (is_parameter && state_of(object, 5) != nullptr) return state_of(object, 5)->items()[0];
    // A TorchScript module: its class is named after the Python that it was made of.
    if (call.callable->kind == Kind::global && object.items().size() > 2 &&
        call.callable->items()[0]->text().starts_with("__torch__") &&
        object.items()[2]->kind == Kind::dict)
      return object.items()[2];
    return nullptr;
  }

  /// The state that the object was given, if it is a tuple of that size; else null.
  static const Value* state_of(const Value& object, std::size_t size) {
    if (object.items().size() < 3 || object.items()[2]->kind != Kind::tuple ||
        object.items()[2]->items().size() != size)
      return nullptr;
    return object.items()[2];
  }

  /// As torch 0.1 wrote a tensor: torch.FloatTensor(), and then storage, offset, shape and strides.
  static const Value* old_tensor(const Value& object) {
    const Value& callable = *object.items()[0];
    const bool is_one = callable.kind == Kind::global && callable.items()[0]->text() == "torch" &&
                        callable.items()[1]->text().ends_with("Tensor");
    return is_one ? state_of(object, 4) : nullptr;
  }

  static bool is_tensor(const Value& object, const Call& call) {
    return call.is_in("torch._utils", "_rebuild") || old_tensor(object) != nullptr;
  }

  // Where there are tensors.

  enum Mark : std::uint8_t { unseen, open, without_tensors, with_tensors };
  static constexpr std::uint8_t attributes_checked = 0x80;  // beside one of these

  static Mark mark_of(const Value& value) {
    return Mark{static_cast<std::uint8_t>(value.mark & ~attributes_checked)};
  }
  static void set_mark(const Value& value, Mark mark) {
    value.mark = static_cast<std::uint8_t>((value.mark & attributes_checked) | mark);
  }

  /// Marks all values below `root`. Containers that are open and met again are left out there: a
  /// value that contains itself has no more tensors for that.
  bool find_tensors(const Value& root) {
    struct Open {
      const Value* value;
      std::size_t next;
    };
    std::deque<Open> way;
    const auto visit = [&](const Value& value) {  // whether that finds a tensor at once
      switch (value.kind) {
        case Kind::dict:
        case Kind::list:
        case Kind::tuple:
        case Kind::object:
          if (mark_of(value) == unseen) {
            if (value.kind == Kind::object && is_tensor(value, call_of(value)) &&
                wrapped_by(value, call_of(value)) == nullptr) {
              set_mark(value, with_tensors);
              return true;
            }
            set_mark(value, open);
            way.push_back({&value, 0});
            return false;
          }
          return leads_to_tensors(value);
        default:
          ++skipped;
          return false;
      }
    };
    if (visit(root)) return true;
    std::vector<bool> found;  // of those in `way`, kept beside them
    found.resize(way.size());
    while (!way.empty()) {
      Open& here = way.back();
      const Value& value = *here.value;
      const Value* next = nullptr;
      if (value.kind == Kind::object) {
        if (here.next == 0) {
          next = wrapped_by(value, call_of(value));
          if (next == nullptr) note_class(value);
        }
      } else if (here.next < value.items().size()) {
        next = value.items()[value.kind == Kind::dict ? here.next + 1 : here.next];
      }
      if (next != nullptr) {
        here.next += value.kind == Kind::dict ? 2 : 1;
        const std::size_t depth = way.size();
        if (visit(*next)) found[depth - 1] = true;
        found.resize(way.size());
        continue;
      }
      const bool has_tensors = found.back();
      if (has_tensors && value.kind == Kind::dict) check_keys(value);
      set_mark(value, has_tensors ? with_tensors : without_tensors);
      way.pop_back();
      found.pop_back();
      if (has_tensors && !found.empty()) found.back() = true;
    }
    return leads_to_tensors(root);
  }

  void note_class(const Value& object) {
    ++skipped;
    if (class_found_ == nullptr) class_found_ = object.items()[0];
  }

  /// Of two values with one key, Python keeps the last. No program writes that. In Python, True, 1
  /// and 1.0 are one key.
  static void check_keys(const Value& dict) {
    std::set<std::string_view>
        texts;  // one by one: a long text that is there often is compared once
    std::vector<std::int64_t> integers;
    constexpr double too_large = 9.2e18;  // for any key that is not made to deceive
    for (std::size_t i = 0; i < dict.items().size(); i += 2) {
      const Value& key = *dict.items()[i];
      if (key.kind == Kind::text && !texts.insert(key.text()).second)
        throw WeightsError(text("a dict in it has the key '", printable(key.text()), "' twice"));
      if (key.kind == Kind::integer || key.kind == Kind::boolean)
        integers.push_back(key.integer());
      else if (key.kind == Kind::real && key.real() > -too_large && key.real() < too_large &&
               key.real() == static_cast<double>(static_cast<std::int64_t>(key.real())))
        integers.push_back(static_cast<std::int64_t>(key.real()));
    }
    std::sort(integers.begin(), integers.end());
    if (const auto twice = std::adjacent_find(integers.begin(), integers.end());
        twice != integers.end())
      throw WeightsError(text("a dict in it has the key ", *twice, " twice"));
  }

  // The way to each of them.

  void walk(const Value& value, std::size_t depth) {
    if (depth > limits::depth) throw WeightsError("its values nest without end");
    switch (value.kind) {
      case Kind::dict:
        spend(value.items().size());
        for (std::size_t i = 0; i + 1 < value.items().size(); i += 2) {
          const Value& key = *value.items()[i];
          if (!leads_to_tensors(*value.items()[i + 1])) continue;
          if (key.kind == Kind::text)
            step(key.text(), *value.items()[i + 1], depth);
          else if (key.kind == Kind::integer)
            step(std::to_string(key.integer()), *value.items()[i + 1], depth);
          else
            ++skipped;
        }
        break;
      case Kind::list:
      case Kind::tuple:
        spend(value.items().size());
        for (std::size_t i = 0; i < value.items().size(); ++i)
          if (leads_to_tensors(*value.items()[i]))
            step(std::to_string(i), *value.items()[i], depth);
        break;
      case Kind::object: {
        const Call call = call_of(value);
        if (const Value* const inner = wrapped_by(value, call); inner != nullptr) {
          if (leads_to_tensors(*inner)) walk(*inner, depth + 1);
        } else {
          add(value, call);
        }
        break;
      }
      default:
        break;
    }
  }

  static bool leads_to_tensors(const Value& value) { return mark_of(value) == with_tensors; }

  void step(std::string_view key, const Value& value, std::size_t depth) {
    const std::size_t size = name_.size();
    if (key.size() > limits::name_bytes || size + key.size() > limits::name_bytes)
      throw WeightsError(text("a tensor's name has more than ", limits::name_bytes, " bytes: '",
                              name_.empty() ? "" : printable(name_) + ".", printable(key), '\''));
    spend(1 + key.size());
    if (!name_.empty()) name_ += '.';
    name_ += key;
    walk(value, depth + 1);
    name_.resize(size);
  }

  /// Shared values can make an endless tree of a small file.
  void spend(std::uint64_t effort) {
    if (effort > effort_left_) throw WeightsError("its values nest without end");
    effort_left_ -= effort;
  }

  // The tensors.

  void add(const Value& object, const Call& call) {
    TensorEntry entry{.name = name_, .storage = no_storage};
    const auto args = call.args();
    const auto arguments = [&](std::size_t least) {
      if (args.size() < least) fail("has too few values");
      return args;
    };
    if (const Value* const state = old_tensor(object); state != nullptr) {
      fill(entry, state->items(), nullptr, nullptr);
    } else if (call.is("torch._utils", "_rebuild_tensor")) {
      fill(entry, arguments(4), nullptr, nullptr);
    } else if (call.is("torch._utils", "_rebuild_tensor_v2")) {
      fill(entry, arguments(4), nullptr, args.size() > 6 ? args[6] : nullptr);
    } else if (call.is("torch._utils", "_rebuild_tensor_v3")) {
      fill(entry, arguments(7), args[6], args.size() > 7 ? args[7] : nullptr);
    } else {
      entry.unreadable = describe_kind(call, entry);
    }
    if (entries.size() >= limits::tensors) throw WeightsError("it has too many tensors");
    names_bytes_ += name_.size();
    if (names_bytes_ > limits::names_bytes) throw WeightsError("its tensors' names are too long");
    if (!names_.insert(name_).second) fail("is there twice");
    entries.push_back(std::move(entry));
  }

  /// What kind of tensor it is that cannot be read. Sets the shape, if there is one.
  static std::string describe_kind(const Call& call, TensorEntry& entry) {
    struct Other {
      std::string_view function, what;
      std::size_t shape;  // the argument that it is
    };
    constexpr std::size_t none = 99;
    static constexpr Other others[]{
        {"_rebuild_sparse_tensor", "it is sparse", none},
        {"_rebuild_sparse_csr_tensor", "it is sparse", none},
        {"_rebuild_nested_tensor", "it is a nested tensor", none},
        {"_rebuild_qtensor", "it is quantized", 2},
        {"_rebuild_mkldnn_tensor", "it is in oneDNN's layout", none},
        {"_rebuild_meta_tensor_no_storage", "it has no values: it was on the meta device", 1},
        {"_rebuild_device_tensor_from_numpy", "it is a tensor of another device", none},
        {"_rebuild_device_tensor_from_cpu_tensor", "it is a tensor of another device", none},
        {"_rebuild_xla_tensor", "it is a tensor of another device", none},
        {"_rebuild_wrapper_subclass", "it is of a class that has no storage", 2},
    };
    const std::string_view name = call.callable->items()[1]->text();
    for (const Other& other : others) {
      if (other.function != name) continue;
      const Value* shape = other.shape < call.args().size() ? call.args()[other.shape] : nullptr;
      // Of a sparse tensor: indices, values, size.
      if (name.starts_with("_rebuild_sparse") && call.args().size() > 1) {
        const auto parts = call.args()[1]->items();
        const std::size_t place = name == "_rebuild_sparse_tensor" ? 2 : 3;
        if (place < parts.size()) shape = parts[place];
      }
      if (const auto sizes = shape != nullptr ? integers(*shape) : std::nullopt)
        entry.shape = *sizes;
      return std::string(other.what);
    }
    return text("it is of a kind that is not known (", pickle::dotted_name(*call.callable), ')');
  }

  /// @param dtype     Null where the storage has one.
  /// @param metadata  Null or what it is that its values are not simply what is stored.
  void fill(TensorEntry& entry, Value::Items args, const Value* dtype, const Value* metadata) {
    const auto shape = integers(*args[2]), strides = integers(*args[3]);
    if (args[1]->kind != Kind::integer || !shape || !strides) fail("has an impossible shape");
    entry.offset = args[1]->integer();
    entry.shape = *shape;
    entry.strides = *strides;

    const PickledStorages::Use* const use = storages_.find(*args[0]);
    if (use == nullptr) fail("has no storage");
    const PickledStorages::Source& source = storages_.sources[use->source];
    const bool is_untyped = source.dtype.empty();
    if (is_untyped != (dtype != nullptr)) fail("has no dtype");
    if (is_untyped && (dtype->kind != Kind::global || dtype->items()[0]->text() != "torch"))
      fail("has no dtype");
    const std::string_view name = is_untyped ? dtype->items()[1]->text() : source.dtype;
    const auto row = std::find_if(dtypes.begin(), dtypes.end(),
                                  [&](const DtypeRow& known) { return known.name == name; });
    entry.storage = use->source;
    if (row == dtypes.end()) {
      entry.unreadable = text("it is ", printable(name));
      return;
    }
    entry.dtype = row->dtype;
    if (use->is_meta) {
      entry.unreadable = "it has no values: it was on the meta device";
      return;
    }
    if (metadata != nullptr && !metadata->items().empty()) {
      entry.unreadable = "it is a view that negates or conjugates";
      return;
    }
    const std::int64_t span_in_view = element_span(entry, use->bytes);
    if (__builtin_add_overflow(entry.offset, use->offset, &entry.offset))
      fail("has an impossible shape");
    if (element_span(entry, source.bytes) != span_in_view) fail("has an impossible shape");
    if (is_spread_out(entry, span_in_view))
      entry.unreadable = "its values are spread over too much of its storage";
  }

  /// A tuple, or a torch.Size. A list could be another one later.
  static std::optional<std::vector<std::int64_t>> integers(const Value& value) {
    if (value.is_call_of("torch", "Size") && value.items()[1]->items().size() == 1)
      return integers(*value.items()[1]->items()[0]);
    if (value.kind != Kind::tuple || value.items().size() > limits::rank) return std::nullopt;
    std::vector<std::int64_t> numbers;
    for (const Value* const item : value.items()) {
      if (item->kind != Kind::integer) return std::nullopt;
      numbers.push_back(item->integer());
    }
    return numbers;
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw WeightsError(text("tensor '", printable(name_), "' ", what));
  }

  std::string describe_absence(const Value& root) const {
    std::string what = "there are no tensors in it";
    if (root.kind == Kind::object)
      what = text("it is a pickled object of class ", pickle::dotted_name(*root.items()[0]));
    else if (class_found_ != nullptr)
      what += text(", but an object of class ", pickle::dotted_name(*class_found_));
    return what + ". Save the state dict in Python: torch.save(model.state_dict(), path)";
  }

  PickledStorages storages_;
  std::uint64_t effort_left_;
  const Value* class_found_ = nullptr;  // what made the first object that is no tensor
  std::string name_;                    // on the way
  std::set<std::string> names_;
  std::size_t names_bytes_ = 0;
};

}  // namespace mnv3::weights
