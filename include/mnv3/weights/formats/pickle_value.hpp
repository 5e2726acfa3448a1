// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>

// What a pickle, Python's own serialisation format, is made of.

namespace mnv3::weights::pickle {

enum class Kind : std::uint8_t {
  none,
  boolean,      ///< `integer()` is 0 or 1.
  integer,      ///< `integer()`.
  big_integer,  ///< More than 64 bits: a random seed, say. `text()` has the bytes.
  real,         ///< `real()`.
  text,         ///< `text()`, UTF-8.
  bytes,        ///< `text()`.
  tuple,        ///< `items()`.
  list,         ///< `items()`.
  set,          ///< `items()`.
  dict,         ///< `items()`: key, value, key, value, in order. Also OrderedDict and defaultdict.
  global,       ///< `items()`: module and name, both text.
  persistent,   ///< `items()`: the one value that identifies it.
  object,       ///< `items()`: what Python would call, its arguments as a tuple, its state if any.
};

/// One value of a pickle. Values are owned by their Document and shared: a value may be reachable
/// many times over, and even contain itself. Small, since a file may have millions of them.
class Value {
 public:
  using Items = std::span<const Value* const>;

  Kind kind = Kind::none;

  /// Whether something has used its items as they are now, so that no more may be added.
  bool is_final = false;

  /// For whoever walks over the document: 0 at first.
  mutable std::uint8_t mark = 0;

  std::int64_t integer() const {
    return kind == Kind::integer || kind == Kind::boolean ? content_.integer : 0;
  }
  double real() const { return kind == Kind::real ? content_.real : 0; }
  std::string_view text() const {
    return has_text() ? std::string_view(content_.text, size_) : std::string_view();
  }
  Items items() const { return kind >= Kind::tuple ? Items(content_.items, size_) : Items(); }

  bool is_text(std::string_view wanted) const { return kind == Kind::text && text() == wanted; }
  bool is_global(std::string_view module, std::string_view name) const {
    return kind == Kind::global && items()[0]->text() == module && items()[1]->text() == name;
  }
  bool is_call_of(std::string_view module, std::string_view name) const {
    return kind == Kind::object && items()[0]->is_global(module, name);
  }

 private:
  friend class Document;

  bool has_text() const {
    return kind == Kind::text || kind == Kind::bytes || kind == Kind::big_integer;
  }

  std::uint32_t size_ = 0;  // of text or items
  union {
    std::int64_t integer;
    double real;
    const char* text;
    const Value** items;
  } content_{.integer = 0};
};

static_assert(sizeof(Value) == 16);

/// "torch.nn.Module" for that global, fit to print; "?" for what is none.
inline std::string dotted_name(const Value& global) {
  if (global.kind != Kind::global) return "?";
  return text(printable(global.items()[0]->text()), '.', printable(global.items()[1]->text()));
}

/// Owns the values of a pickle, whose bytes the texts among them refer to.
class Document {
 public:
  const Value* root = nullptr;
  std::size_t size = 0;  ///< Of the pickle, in bytes.

  const std::deque<Value>& values() const { return values_; }

  Value* make(Kind kind) {
    Value& value = values_.emplace_back();
    value.kind = kind;
    return &value;
  }
  Value* make_integer(Kind kind, std::int64_t integer) {
    Value* const value = make(kind);
    value->content_.integer = integer;
    return value;
  }
  Value* make_real(double real) {
    Value* const value = make(Kind::real);
    value->content_.real = real;
    return value;
  }
  /// @param text  At most 4 GiB of the pickle.
  Value* make_text(Kind kind, std::string_view text) {
    Value* const value = make(kind);
    value->content_.text = text.data();
    value->size_ = static_cast<std::uint32_t>(text.size());
    return value;
  }
  Value* make_items(Kind kind, Value::Items items) {
    Value* const value = make(kind);
    append(*value, items);
    return value;
  }

  /// Their room doubles whenever it is used up, so that any number of additions takes linear time.
  void append(Value& to, Value::Items items) {
    const std::size_t old_size = to.size_, new_size = old_size + items.size();
    if (new_size == old_size) return;
    if (old_size == 0 || std::bit_ceil(new_size) > std::bit_ceil(old_size)) {
      const Value** const room = allocate(std::bit_ceil(new_size));
      std::copy_n(to.content_.items, old_size, room);
      to.content_.items = room;
    }
    std::copy(items.begin(), items.end(), to.content_.items + old_size);
    to.size_ = static_cast<std::uint32_t>(new_size);
  }

 private:
  const Value** allocate(std::size_t count) {
    constexpr std::size_t usual = 1 << 12;
    if (count > left_) {
      const std::size_t block = std::max(count, usual);
      blocks_.push_back(std::make_unique_for_overwrite<const Value*[]>(block));
      if (count == block) return blocks_.back().get();
      next_ = blocks_.back().get();
      left_ = block;
    }
    const Value** const room = next_;
    next_ += count;
    left_ -= count;
    return room;
  }

  std::deque<Value> values_;  // growing and moving it leaves the values where they are
  std::vector<std::unique_ptr<const Value*[]>> blocks_;
  const Value** next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace mnv3::weights::pickle
