// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/pickle_value.hpp>
#include <mnv3/weights/formats/storage_types.hpp>

namespace mnv3::weights {

/// The storages that a pickle mentions. They are "persistent", outside of the pickle, which has
/// only ("storage", type, key, device, number of elements), and in a legacy file a view.
///
/// Errors  WeightsError, without the file's name: a storage that is two different ones, of which
///         torch would take the first it meets.
/// Source  torch 1.13.1 torch/serialization.py `persistent_id`, `persistent_load`.
class PickledStorages {
 public:
  struct Source {
    std::string key;
    std::int64_t elements = 0;
    std::uint64_t bytes = 0;
    std::string_view dtype;  ///< torch's name for it; empty if it is untyped.
  };

  /// One place where the pickle mentions one: a part of it, as files of torch before 0.5 have such.
  struct Use {
    std::size_t source = 0;
    std::int64_t offset = 0;  ///< In elements.
    std::uint64_t bytes = 0;  ///< Of the storage, or of its part.
    bool is_meta = false;     ///< Whether it has no values at all.
  };

  explicit PickledStorages(const pickle::Document& document) {
    for (const Value& value : document.values())
      if (value.kind == Kind::persistent) note(value);
    for (const auto& [key, view] : views_)  // for torch, views and storages have one set of keys
      if (by_key_.contains(key)) fail_on_view(key);
  }

  /// Null if that is no storage.
  const Use* find(const pickle::Value& value) const {
    const auto found = uses_.find(&value);
    return found == uses_.end() ? nullptr : &found->second;
  }

  std::vector<Source> sources;

 private:
  using Value = pickle::Value;
  using Kind = pickle::Kind;

  struct View {
    std::size_t source;
    std::int64_t offset, elements;
    friend bool operator==(const View&, const View&) = default;
  };

  void note(const Value& value) {
    const Value& tuple = *value.items()[0];
    const auto id = tuple.items();
    if (tuple.kind != Kind::tuple || id.size() < 5 || !id[0]->is_text("storage") ||
        id[2]->kind != Kind::text || id[4]->kind != Kind::integer)
      return;
    std::int64_t unit = 0;
    Source source;
    source.elements = id[4]->integer();
    if (id[1]->is_global("torch.storage", "UntypedStorage") ||
        id[1]->is_global("torch", "UntypedStorage") ||
        id[1]->is_global("torch.storage", "_UntypedStorage"))
      unit = 1;
    for (const StorageType& type : storage_types)
      if (id[1]->is_global("torch", type.name)) {
        unit = type.bytes;
        source.dtype = type.dtype;
      }
    if (unit == 0) return;
    const std::string_view key = id[2]->text();
    if (key.size() > limits::key_bytes)
      throw WeightsError(text("storage '", printable(key), "' has too long a key"));
    if (uses_.size() >= limits::storage_uses) throw WeightsError("it has too many storages");
    std::int64_t bytes = 0;
    if (source.elements < 0 || __builtin_mul_overflow(source.elements, unit, &bytes))
      throw WeightsError(text("storage '", printable(key), "' has an impossible size"));
    source.bytes = static_cast<std::uint64_t>(bytes);

    const auto [known, is_new] = by_key_.try_emplace(std::string(key), sources.size());
    if (is_new) {
      if (sources.size() >= limits::tensors) throw WeightsError("it has too many storages");
      source.key = key;
      sources.push_back(std::move(source));
    } else if (sources[known->second].bytes != source.bytes) {
      throw WeightsError(text("storage '", printable(key), "' has two sizes"));
    } else if (sources[known->second].dtype != source.dtype) {
      throw WeightsError(text("storage '", printable(key), "' has two types"));
    }
    Use use{.source = known->second,
            .bytes = static_cast<std::uint64_t>(bytes),
            .is_meta = id[3]->is_text("meta")};
    if (id.size() > 5 && id[5]->kind != Kind::none) note_view(*id[5], key, unit, use);
    uses_.emplace(&value, use);
  }

  [[noreturn]] static void fail_on_view(std::string_view storage) {
    throw WeightsError(text("storage '", printable(storage), "' has an impossible view"));
  }

  /// (key, offset, number of elements).
  void note_view(const Value& tuple, std::string_view storage, std::int64_t unit, Use& use) {
    const auto refuse = [&] { fail_on_view(storage); };
    const auto view = tuple.items();
    if (tuple.kind != Kind::tuple || view.size() != 3 || view[0]->kind != Kind::text ||
        view[0]->text().size() > limits::key_bytes || view[1]->kind != Kind::integer ||
        view[2]->kind != Kind::integer || view[1]->integer() < 0 || view[2]->integer() < 0)
      refuse();
    std::int64_t end = 0, bytes = 0;
    if (__builtin_add_overflow(view[1]->integer(), view[2]->integer(), &end) ||
        __builtin_mul_overflow(end, unit, &bytes) || static_cast<std::uint64_t>(bytes) > use.bytes)
      refuse();
    const View this_one{use.source, view[1]->integer(), view[2]->integer()};
    // torch takes the first of one key.
    if (views_.try_emplace(std::string(view[0]->text()), this_one).first->second != this_one)
      refuse();
    use.offset = this_one.offset;
    use.bytes = static_cast<std::uint64_t>(this_one.elements * unit);
  }

  std::map<std::string, std::size_t> by_key_;
  std::map<std::string, View> views_;
  std::map<const Value*, Use> uses_;
};

}  // namespace mnv3::weights
