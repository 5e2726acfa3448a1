// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/pickle_cursor.hpp>
#include <mnv3/weights/formats/pickle_value.hpp>

// Reads pickles as data. Python runs the functions that a pickle names; here a name is only a name,
// so that the worst a file can do is to be refused.

namespace mnv3::weights::pickle {

/// Runs the stack machine that a pickle is a program for. Use `read`.
///
/// What Python does with a value that it has used already, such as a dict that became an object's
/// attributes, and which then changes, is not imitated: such a pickle, which nobody's program
/// writes, is refused.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : in_(bytes) {
    if (bytes.size() > limits::pickle_bytes)
      throw WeightsError(
          text("the pickle has ", bytes.size(), " bytes, more than ", limits::pickle_bytes));
    budget_ =
        std::min<std::uint64_t>(limits::values, limits::values_of_any_pickle +
                                                    limits::values_per_pickle_byte * bytes.size());
    none_ = document_.make(Kind::none);
    false_ = document_.make_integer(Kind::boolean, 0);
    true_ = document_.make_integer(Kind::boolean, 1);
    empty_tuple_ = document_.make(Kind::tuple);
  }

  Document run() {
    for (Op op = in_.first_op(); op != Op::stop; op = in_.next_op()) step(op);
    document_.root = pop();
    document_.size = in_.position();
    return std::move(document_);
  }

 private:
  void step(Op op) {
    // clang-format off
    switch (op) {
      case Op::proto: return protocol();
      case Op::frame: return in_.begin_frame(in_.number<std::uint64_t>());

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
      case Op::pop_mark: return pop_to_mark([](Value::Items) -> Value* { return nullptr; });
      case Op::dup: return push(top());

      case Op::empty_tuple: return push(empty_tuple_);
      case Op::empty_list: return push(document_.make(Kind::list));
      case Op::empty_dict: return push(document_.make(Kind::dict));
      case Op::empty_set: return push(document_.make(Kind::set));
      case Op::tuple1: return push_tuple(1);
      case Op::tuple2: return push_tuple(2);
      case Op::tuple3: return push_tuple(3);
      case Op::tuple: return push_items(Kind::tuple);
      case Op::list: return push_items(Kind::list);
      case Op::frozenset: return push_items(Kind::set);
      case Op::dict: return push_items(Kind::dict);
      case Op::append: return append_item();
      case Op::appends: return add_to_mark(Kind::list);
      case Op::additems: return add_to_mark(Kind::set);
      case Op::setitem: return set_item();
      case Op::setitems: return add_to_mark(Kind::dict);

      case Op::global: return push_global();
      case Op::stack_global: return push_stack_global();
      case Op::reduce: return call(false);
      case Op::newobj: return call(true);
      case Op::newobj_ex: pop(); return call(true);  // popped: the keyword arguments
      case Op::build: return build();
      case Op::binpersid: return push_persistent();

      case Op::binput: return remember(in_.number<std::uint8_t>());
      case Op::long_binput: return remember(in_.number<std::uint32_t>());
      case Op::memoize: return remember(memo_count_);
      case Op::binget: return recall(in_.number<std::uint8_t>());
      case Op::long_binget: return recall(in_.number<std::uint32_t>());

      case Op::stop: break;
    }
    // clang-format on
    in_.fail("has an opcode that torch.save does not write");
  }

  // The stack. What lies below the topmost mark is out of reach.

  void push(Value* value) {
    spend(1);
    stack_.push_back(value);
  }

  Value* top() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
      in_.fail("takes a value from an empty stack");
    return const_cast<Value*>(stack_.back());  // ours: nothing else is ever pushed
  }

  Value* pop() {
    Value* const value = top();
    stack_.pop_back();
    return value;
  }

  void mark() {
    spend(1);
    marks_.push_back(stack_.size());
  }

  /// Hands the values above the topmost mark to `use`, and then forgets them.
  template <class Use>
  void pop_to_mark(Use use) {
    if (marks_.empty()) in_.fail("has no mark to go back to");
    const std::size_t begin = marks_.back();
    marks_.pop_back();
    Value* const result = use(Value::Items(stack_).subspan(begin));
    stack_.resize(begin);
    if (result != nullptr) push(result);
  }

  void pop_or_unmark() {
    if (!marks_.empty() && marks_.back() == stack_.size())
      marks_.pop_back();
    else
      pop();
  }

  // What the opcodes do.

  /// Each value that is pushed or copied is counted: time and memory are what the file's size
  /// allows.
  void spend(std::uint64_t values) {
    if (values > budget_) in_.fail("has too many values");
    budget_ -= values;
  }

  void protocol() {
    if (const int version = in_.number<std::uint8_t>(); version < 2 || version > 5)
      in_.fail(text("has protocol ", version, ", not 2 to 5"));
  }

  /// Small ones are shared.
  void push_integer(std::int64_t integer) {
    if (integer < 0 || integer >= static_cast<std::int64_t>(small_.size()))
      return push(document_.make_integer(Kind::integer, integer));
    Value*& shared = small_[static_cast<std::size_t>(integer)];
    if (shared == nullptr) shared = document_.make_integer(Kind::integer, integer);
    push(shared);
  }

  void push_long(std::uint32_t length) {
    const std::string_view all = in_.take(length);
    std::string_view digits = all;
    // The last byte may say nothing but the sign, which the one before it has, too.
    while (digits.size() > sizeof(std::int64_t) &&
           digits.back() == ((digits[digits.size() - 2] & 0x80) != 0 ? '\xff' : '\0'))
      digits.remove_suffix(1);
    if (digits.size() > sizeof(std::int64_t))
      return push(document_.make_text(Kind::big_integer, all));
    std::uint64_t bits = 0;
    std::memcpy(&bits, digits.data(), digits.size());
    const bool is_negative = !digits.empty() && (digits.back() & 0x80) != 0;
    if (is_negative && digits.size() < sizeof bits)
      bits |= ~std::uint64_t{0} << (8 * digits.size());
    push_integer(std::bit_cast<std::int64_t>(bits));
  }

  void push_real() {
    std::uint64_t bits = 0;  // the one big-endian number in a pickle
    for (const char c : in_.take(sizeof bits)) bits = bits << 8 | static_cast<unsigned char>(c);
    push(document_.make_real(std::bit_cast<double>(bits)));
  }

  void push_text(Kind kind, std::uint64_t length) {
    push(document_.make_text(kind, in_.take(length)));
  }

  void push_tuple(std::size_t count) {
    if (stack_.size() < count + (marks_.empty() ? 0 : marks_.back()))
      in_.fail("takes a value from an empty stack");
    Value* const tuple = document_.make_items(Kind::tuple, Value::Items(stack_).last(count));
    stack_.resize(stack_.size() - count);
    push(tuple);
  }

  void push_items(Kind kind) {
    pop_to_mark([&](Value::Items items) {
      if (kind == Kind::dict && items.size() % 2 != 0) in_.fail("has a key without a value");
      return document_.make_items(kind, items);
    });
  }

  /// Puts `items` into the list, set or dict on top of the stack.
  void add(Kind kind, Value::Items items) { add_to(*top(), kind, items); }

  void add_to(Value& target, Kind kind, Value::Items items) {
    if (kind == Kind::dict && items.size() % 2 != 0) in_.fail("has a key without a value");
    if (target.kind == Kind::object) {
      if (is_tensor(target)) in_.fail("changes a tensor");
      return;  // what a class of Python's does with them is unknown
    }
    if (target.kind != kind) in_.fail("adds items to something that holds none");
    if (target.is_final) in_.fail("changes a value that it has used already");
    document_.append(target, items);
  }

  /// The target is below the mark.
  void add_to_mark(Kind kind) {
    pop_to_mark([&](Value::Items items) -> Value* {
      if (stack_.size() - items.size() <= (marks_.empty() ? 0 : marks_.back()))
        in_.fail("takes a value from an empty stack");
      Value& target = const_cast<Value&>(*stack_[stack_.size() - items.size() - 1]);
      add_to(target, kind, items);
      return nullptr;
    });
  }

  void append_item() {
    const Value* const item = pop();
    add(Kind::list, Value::Items(&item, 1));
  }

  void set_item() {
    const Value* const value = pop();
    const Value* const key = pop();
    const std::array<const Value*, 2> items{key, value};
    add(Kind::dict, items);
  }

  void push_global() {
    const std::string_view module = in_.line();
    const std::string_view name = in_.line();
    push(make_global(document_.make_text(Kind::text, module),
                     document_.make_text(Kind::text, name)));
  }

  void push_stack_global() {
    const Value* const name = pop();
    const Value* const module = pop();
    if (name->kind != Kind::text || module->kind != Kind::text)
      in_.fail("has a name that is no text");
    push(make_global(module, name));
  }

  Value* make_global(const Value* module, const Value* name) {
    const std::array<const Value*, 2> items{module, name};
    return document_.make_items(Kind::global, items);
  }

  void push_persistent() {
    const Value* const id = pop();
    push(document_.make_items(Kind::persistent, Value::Items(&id, 1)));
  }

  /// @param is_new  Whether a class makes an object without looking at the arguments, as Python's
  ///                `cls.__new__` does for dicts.
  void call(bool is_new) {
    Value* const arguments = pop();
    const Value* const callable = pop();
    if (arguments->kind != Kind::tuple) in_.fail("has a call without a tuple of arguments");
    const Value::Items args = arguments->items();
    if (callable->is_global("collections", "OrderedDict"))
      return push_dict(is_new || args.empty() ? nullptr : args[0]);
    if (callable->is_global("collections", "defaultdict"))
      return push_dict(is_new || args.size() < 2 ? nullptr : args[1]);
    // What gives back its first argument: LibTorch's C++ notes types so.
    if (callable->kind == Kind::global && !args.empty() &&
        callable->items()[0]->text() == "torch.jit._pickle") {
      const std::string_view name = callable->items()[1]->text();
      if (name == "restore_type_tag" || (name.starts_with("build_") && name.ends_with("list")))
        return push(const_cast<Value*>(args[0]));
    }
    // torch's functions see their arguments as they are now. A tuple is asked once.
    if (callable->kind == Kind::global && is_torch(callable->items()[0]->text()) &&
        !std::exchange(arguments->is_final, true))
      for (const Value* const argument : args) const_cast<Value*>(argument)->is_final = true;
    const std::array<const Value*, 2> items{callable, arguments};
    push(document_.make_items(Kind::object, items));
  }

  /// OrderedDict(), filled later; OrderedDict([(key, value), ...]), as Python 2 wrote it; or of
  /// another dict.
  void push_dict(const Value* from) {
    Value* const dict = document_.make(Kind::dict);
    if (from == nullptr) return push(dict);
    spend(2 * from->items().size());
    if (from->kind == Kind::dict) {
      document_.append(*dict, from->items());
    } else if (from->kind == Kind::list || from->kind == Kind::tuple) {
      for (const Value* const pair : from->items()) {
        if ((pair->kind != Kind::list && pair->kind != Kind::tuple) || pair->items().size() != 2)
          in_.fail("has an OrderedDict of something else than pairs");
        document_.append(*dict, pair->items());
      }
    } else {
      in_.fail("has an OrderedDict of something else than pairs");
    }
    push(dict);
  }

  /// Gives the object on top its attributes. An OrderedDict's, `_metadata`, are of no interest.
  void build() {
    Value* const state = pop();
    Value& target = *top();
    if (target.kind != Kind::object) return;
    if (is_tensor(target)) {
      const bool is_empty =
          target.items().size() == 2 && target.items()[1]->items().empty() && is_class(target);
      const std::size_t size = state->kind == Kind::tuple ? state->items().size() : 0;
      // What torch before 0.4 wrote of a Variable that has its values: requires_grad, volatile,
      // hooks. Everything else would replace its values, and may only give it its first ones.
      if (size == 3) return;
      if (!is_empty || (size != 4 && size != 5)) in_.fail("changes a tensor");
    }
    if (target.items().size() != 2) in_.fail("gives an object two states");
    state->is_final = true;
    const Value* const items = state;
    document_.append(target, Value::Items(&items, 1));
  }

  static bool is_torch(std::string_view module) {
    return module == "torch" || module.starts_with("torch.");
  }

  /// Whether Python makes a tensor of that object.
  static bool is_tensor(const Value& object) {
    const Value& callable = *object.items()[0];
    if (callable.kind != Kind::global) return false;
    const std::string_view module = callable.items()[0]->text();
    return module == "torch" || module == "torch._utils" || module == "torch._tensor" ||
           module == "torch.tensor" || module == "torch.nn.parameter" ||
           module == "torch.autograd.variable";
  }

  /// Whether a class made it, and no function.
  static bool is_class(const Value& object) {
    return !object.items()[0]->items()[1]->text().starts_with("_");
  }

  void remember(std::uint64_t index) {
    // An index that was never given would be larger: each takes a byte of the pickle, at least.
    if (index >= in_.size() || index >= limits::values) in_.fail("has an impossible memo");
    if (index >= memo_.size()) memo_.resize(static_cast<std::size_t>(index) + 1);
    Value*& place = memo_[static_cast<std::size_t>(index)];
    memo_count_ += place == nullptr;
    place = top();
  }

  void recall(std::uint64_t index) {
    if (index >= memo_.size() || memo_[static_cast<std::size_t>(index)] == nullptr)
      in_.fail(text("uses memo ", index, ", which was never set"));
    push(memo_[static_cast<std::size_t>(index)]);
  }

  Cursor in_;
  Document document_;
  std::uint64_t budget_ = 0;
  std::vector<const Value*> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::vector<Value*> memo_;
  std::size_t memo_count_ = 0;
  std::array<Value*, 256> small_{};
  Value *none_ = nullptr, *false_ = nullptr, *true_ = nullptr, *empty_tuple_ = nullptr;
};

/// The values of a pickle of protocol 2 to 5, as far as `torch.save` writes such. Bytes after its
/// end are ignored. The result refers to `bytes`.
///
/// Errors  WeightsError if it is damaged or has an opcode of another kind; names the byte.
/// Source  CPython 3.11 Lib/pickletools.py.
inline Document read(std::string_view bytes) { return Reader(bytes).run(); }

}  // namespace mnv3::weights::pickle
