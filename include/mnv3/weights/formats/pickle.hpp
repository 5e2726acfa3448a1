// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mnv3/weights/formats/pickle_cursor.hpp>
#include <mnv3/weights/formats/pickle_value.hpp>

// Reads pickles as data. Python runs the functions that a pickle names; here a name is only a name,
// so that the worst a file can do is to be refused.

namespace mnv3::weights::pickle {

/// Runs the stack machine that a pickle is a program for. Use `read`.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : in_(bytes) {}

  Document run() {
    none_ = make(Kind::none);
    false_ = make(Kind::boolean);
    true_ = make(Kind::boolean);
    true_->integer = 1;
    empty_tuple_ = make(Kind::tuple);
    for (Op op = in_.first_op(); op != Op::stop; op = in_.next_op()) step(op);
    document_.root = pop();
    document_.size = in_.position();
    return std::move(document_);
  }

 private:
  // Far more than any checkpoint has: some 25 values a tensor are usual. They bound the memory that
  // a file can ask for, to some 50 MB.
  static constexpr std::size_t max_values = std::size_t{1} << 18;
  static constexpr std::size_t max_items = std::size_t{1} << 20;  // in all its containers

  void step(Op op) {
    // clang-format off
    switch (op) {
      case Op::proto: return protocol();
      case Op::frame: return in_.check_length(in_.number<std::uint64_t>());

      case Op::none: return push(none_);
      case Op::newtrue: return push(true_);
      case Op::newfalse: return push(false_);
      case Op::binint: return push_integer(in_.number<std::int32_t>());
      case Op::binint1: return push_integer(in_.number<std::uint8_t>());
      case Op::binint2: return push_integer(in_.number<std::uint16_t>());
      case Op::long1: return push_long(in_.number<std::uint8_t>());
      case Op::long4: return push_long(in_.number<std::uint32_t>());
      case Op::binfloat: return push_real();

      case Op::binunicode: return push_text(Kind::text, in_.number<std::uint32_t>());
      case Op::short_binunicode: return push_text(Kind::text, in_.number<std::uint8_t>());
      case Op::binunicode8: return push_text(Kind::text, in_.number<std::uint64_t>());
      case Op::binstring: return push_text(Kind::text, in_.number<std::uint32_t>());
      case Op::short_binstring: return push_text(Kind::text, in_.number<std::uint8_t>());
      case Op::binbytes: return push_text(Kind::bytes, in_.number<std::uint32_t>());
      case Op::short_binbytes: return push_text(Kind::bytes, in_.number<std::uint8_t>());
      case Op::binbytes8:
      case Op::bytearray8: return push_text(Kind::bytes, in_.number<std::uint64_t>());

      case Op::mark: return mark();
      case Op::pop: return pop_or_unmark();
      case Op::pop_mark: return static_cast<void>(pop_to_mark());
      case Op::dup: return push(top());

      case Op::empty_tuple: return push(empty_tuple_);
      case Op::empty_list: return push(make(Kind::list));
      case Op::empty_dict: return push(make(Kind::dict));
      case Op::empty_set: return push(make(Kind::set));
      case Op::tuple1: return push_tuple(1);
      case Op::tuple2: return push_tuple(2);
      case Op::tuple3: return push_tuple(3);
      case Op::tuple: return push_items(Kind::tuple);
      case Op::list: return push_items(Kind::list);
      case Op::frozenset: return push_items(Kind::set);
      case Op::dict: return push_items(Kind::dict);
      case Op::append: return add(Kind::list, {pop()});
      case Op::appends: return add(Kind::list, pop_to_mark());
      case Op::additems: return add(Kind::set, pop_to_mark());
      case Op::setitem: return set_item();
      case Op::setitems: return add(Kind::dict, pop_to_mark());

      case Op::global: return push_global();
      case Op::stack_global: return push_stack_global();
      case Op::reduce:
      case Op::newobj: return call();
      case Op::newobj_ex: pop(); return call();  // popped: the keyword arguments
      case Op::build: return build();
      case Op::binpersid: return push_persistent();

      case Op::binput: return remember(in_.number<std::uint8_t>());
      case Op::long_binput: return remember(in_.number<std::uint32_t>());
      case Op::memoize: return remember(memo_.size());
      case Op::binget: return recall(in_.number<std::uint8_t>());
      case Op::long_binget: return recall(in_.number<std::uint32_t>());

      case Op::stop: break;
    }
    // clang-format on
    in_.fail("has an opcode that torch.save does not write");
  }

  // The stack. What lies below the topmost mark is out of reach.

  void push(Value* value) {
    if (stack_.size() >= max_values) in_.fail("has too many values");
    stack_.push_back(value);
  }

  Value* top() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
      in_.fail("takes a value from an empty stack");
    return stack_.back();
  }

  Value* pop() {
    Value* const value = top();
    stack_.pop_back();
    return value;
  }

  void mark() {
    if (marks_.size() >= max_values) in_.fail("has too many marks");
    marks_.push_back(stack_.size());
  }

  std::vector<const Value*> pop_to_mark() {
    if (marks_.empty()) in_.fail("has no mark to go back to");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    marks_.pop_back();
    count_items(stack_.size() - static_cast<std::size_t>(begin - stack_.begin()));
    std::vector<const Value*> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return items;
  }

  void pop_or_unmark() {
    if (!marks_.empty() && marks_.back() == stack_.size())
      marks_.pop_back();
    else
      pop();
  }

  // What the opcodes do.

  void count_items(std::size_t count) {
    items_ += count;
    if (items_ > max_items) in_.fail("has too many values");
  }

  Value* make(Kind kind) {
    if (document_.values.size() >= max_values) in_.fail("has too many values");
    Value& value = document_.values.emplace_back();
    value.kind = kind;
    return &value;
  }

  void protocol() {
    if (const int version = in_.number<std::uint8_t>(); version < 2 || version > 5)
      in_.fail(fmt::format("has protocol {}, not 2 to 5", version));
  }

  void push_integer(std::int64_t integer) {
    push(make(Kind::integer));
    top()->integer = integer;
  }

  void push_long(std::uint32_t length) {
    const std::string_view digits = in_.take(length);
    if (length > sizeof(std::int64_t)) {
      push(make(Kind::big_integer));
      top()->text = digits;
      return;
    }
    std::uint64_t bits = 0;
    std::memcpy(&bits, digits.data(), digits.size());
    const bool is_negative = !digits.empty() && (digits.back() & 0x80) != 0;
    if (is_negative && length < sizeof bits) bits |= ~std::uint64_t{0} << (8 * length);
    push_integer(std::bit_cast<std::int64_t>(bits));
  }

  void push_real() {
    std::uint64_t bits = 0;  // the one big-endian number in a pickle
    for (const char c : in_.take(sizeof bits)) bits = bits << 8 | static_cast<unsigned char>(c);
    push(make(Kind::real));
    top()->real = std::bit_cast<double>(bits);
  }

  void push_text(Kind kind, std::uint64_t length) {
    const std::string_view text = in_.take(length);
    push(make(kind));
    top()->text = text;
  }

  void push_tuple(std::size_t count) {
    Value* const tuple = make(Kind::tuple);
    tuple->items.resize(count);
    while (count > 0) tuple->items[--count] = pop();
    push(tuple);
  }

  void push_items(Kind kind) {
    std::vector<const Value*> items = pop_to_mark();
    if (kind == Kind::dict && items.size() % 2 != 0) in_.fail("has a key without a value");
    push(make(kind));
    top()->items = std::move(items);
  }

  /// Puts `items` into the list, set or dict on top of the stack.
  void add(Kind kind, const std::vector<const Value*>& items) {
    if (kind == Kind::dict && items.size() % 2 != 0) in_.fail("has a key without a value");
    Value& target = *top();
    if (target.kind == Kind::object) return;  // what a class of Python's does with them is unknown
    if (target.kind != kind) in_.fail("adds items to something that holds none");
    count_items(items.size());
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void set_item() {
    const Value* const value = pop();
    const Value* const key = pop();
    add(Kind::dict, {key, value});
  }

  void push_global() {
    const std::string_view module = in_.line();
    const std::string_view name = in_.line();
    Value* const global = make(Kind::global);
    for (const std::string_view text : {module, name}) {
      Value* const part = make(Kind::text);
      part->text = text;
      global->items.push_back(part);
    }
    push(global);
  }

  void push_stack_global() {
    const Value* const name = pop();
    const Value* const module = pop();
    if (name->kind != Kind::text || module->kind != Kind::text)
      in_.fail("has a name that is no text");
    push(make(Kind::global));
    top()->items = {module, name};
  }

  void push_persistent() {
    const Value* const id = pop();
    push(make(Kind::persistent));
    top()->items = {id};
  }

  void call() {
    const Value* const arguments = pop();
    const Value* const callable = pop();
    if (arguments->kind != Kind::tuple) in_.fail("has a call without a tuple of arguments");
    if (callable->is_global("collections", "OrderedDict")) return push_ordered_dict(*arguments);
    if (callable->is_global("collections", "defaultdict")) return push(make(Kind::dict));
    push(make(Kind::object));
    top()->items = {callable, arguments};
  }

  /// OrderedDict(), filled later, or OrderedDict([(key, value), ...]), as Python 2 wrote it.
  void push_ordered_dict(const Value& arguments) {
    push(make(Kind::dict));
    if (arguments.items.empty()) return;
    for (const Value* const pair : arguments.items[0]->items) {
      if (pair->items.size() != 2) in_.fail("has an OrderedDict of something else than pairs");
      add(Kind::dict, pair->items);
    }
  }

  /// Gives the object on top its attributes. An OrderedDict's, `_metadata`, are of no interest.
  void build() {
    const Value* const state = pop();
    if (Value& target = *top(); target.kind == Kind::object && target.items.size() == 2)
      target.items.push_back(state);
  }

  void remember(std::uint64_t index) {
    if (memo_.size() >= max_values) in_.fail("has too many values");
    memo_[index] = top();
  }

  void recall(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) in_.fail(fmt::format("uses memo {}, which was never set", index));
    push(found->second);
  }

  Cursor in_;
  Document document_;
  std::vector<Value*> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::size_t items_ = 0;
  std::unordered_map<std::uint64_t, Value*> memo_;
  Value *none_ = nullptr, *false_ = nullptr, *true_ = nullptr, *empty_tuple_ = nullptr;
};

/// The values of a pickle of protocol 2 to 5, as far as `torch.save` writes such. Bytes after its
/// end are ignored. The result refers to `bytes`.
///
/// Errors  WeightsError if it is damaged or has an opcode of another kind; names the byte.
/// Source  CPython 3.11 Lib/pickletools.py.
inline Document read(std::string_view bytes) { return Reader(bytes).run(); }

}  // namespace mnv3::weights::pickle
