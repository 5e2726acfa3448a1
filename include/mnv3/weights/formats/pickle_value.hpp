// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

// What a pickle, Python's own serialisation format, is made of.

namespace mnv3::weights::pickle {

enum class Kind : std::uint8_t {
  none,
  boolean,      ///< `integer` is 0 or 1.
  integer,      ///< `integer`.
  big_integer,  ///< More than 64 bits: a random seed, say. `text` has the bytes.
  real,         ///< `real`.
  text,         ///< `text`, UTF-8.
  bytes,        ///< `text`.
  tuple,        ///< `items`.
  list,         ///< `items`.
  set,          ///< `items`.
  dict,         ///< `items`: key, value, key, value, in order. Also OrderedDict and defaultdict.
  global,       ///< `items`: module and name, both text.
  persistent,   ///< `items`: the one value that identifies it.
  object,       ///< `items`: what Python would call, the tuple of its arguments, its state if any.
};

/// One value of a pickle. Values are owned by their Document and shared: a value may be reachable
/// many times over, and even contain itself.
struct Value {
  Kind kind = Kind::none;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text{};
  std::vector<const Value*> items{};

  bool is_global(std::string_view module, std::string_view name) const {
    return kind == Kind::global && items[0]->text == module && items[1]->text == name;
  }
  bool is_call_of(std::string_view module, std::string_view name) const {
    return kind == Kind::object && items[0]->is_global(module, name);
  }
};

/// "torch.nn.Module" for that global; "?" for what is none.
inline std::string dotted_name(const Value& global) {
  if (global.kind != Kind::global) return "?";
  return fmt::format("{}.{}", global.items[0]->text, global.items[1]->text);
}

struct Document {
  std::deque<Value> values;  // a deque: growing and moving it leaves the values where they are
  const Value* root = nullptr;
  std::size_t size = 0;  ///< Of the pickle, in bytes.
};

}  // namespace mnv3::weights::pickle
