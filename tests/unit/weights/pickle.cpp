// SPDX-License-Identifier: MIT
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/formats/pickle.hpp>
#include <mnv3/weights/formats/pickle_writer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

namespace {

using namespace std::string_view_literals;
namespace pickle = mnv3::weights::pickle;
using pickle::Kind;

/// The pickle with that body: protocol 2 and the end are added.
std::string with_frame(std::string_view body) { return "\x80\x02" + std::string(body) + "."; }

/// Reads the body's one value and hands it to `look`.
template <class Look>
void read_body(std::string_view body, Look look) {
  const std::string bytes = with_frame(body);
  const pickle::Document document = pickle::read(bytes);
  look(*document.root);
}

std::int64_t integer_of(std::string_view body) {
  std::int64_t integer = 0;
  read_body(body, [&](const pickle::Value& value) {
    REQUIRE(value.kind == Kind::integer);
    integer = value.integer();
  });
  return integer;
}

std::string error_of(std::string_view bytes) {
  try {
    pickle::read(bytes);
  } catch (const mnv3::WeightsError& error) {
    return error.what();
  }
  return {};
}

std::string body_error(std::string_view body) { return error_of(with_frame(body)); }

}  // namespace

TEST_CASE("constants, numbers and texts of a pickle are read") {
  read_body("N", [](auto& value) { CHECK(value.kind == Kind::none); });
  read_body("\x88", [](auto& value) {
    CHECK(value.kind == Kind::boolean);
    CHECK(value.integer() == 1);
  });
  read_body("\x89", [](auto& value) {
    CHECK(value.kind == Kind::boolean);
    CHECK(value.integer() == 0);
  });
  read_body("G\x3f\xf8\0\0\0\0\0\0"sv, [](auto& value) {
    CHECK(value.kind == Kind::real);
    CHECK(value.real() == 1.5);
  });
  for (const std::string_view text :
       {"X\2\0\0\0ab"sv, "\x8c\2ab"sv, "\x8d\2\0\0\0\0\0\0\0ab"sv, "U\2ab"sv, "T\2\0\0\0ab"sv})
    read_body(text, [](auto& value) {
      CHECK(value.kind == Kind::text);
      CHECK(value.text() == "ab");
    });
  for (const std::string_view bytes :
       {"C\2ab"sv, "B\2\0\0\0ab"sv, "\x8e\2\0\0\0\0\0\0\0ab"sv, "\x96\2\0\0\0\0\0\0\0ab"sv})
    read_body(bytes, [](auto& value) {
      CHECK(value.kind == Kind::bytes);
      CHECK(value.text() == "ab");
    });
}

TEST_CASE("integers of every width keep their sign") {
  CHECK(integer_of("K\xff") == 255);
  CHECK(integer_of("M\xff\xff") == 65535);
  CHECK(integer_of("J\xff\xff\xff\xff") == -1);
  CHECK(integer_of("J\0\0\0\x80"sv) == std::numeric_limits<std::int32_t>::min());
  CHECK(integer_of("\x8a\0"sv) == 0);
  CHECK(integer_of("\x8a\1\xff") == -1);
  CHECK(integer_of("\x8a\2\xff\0"sv) == 255);
  CHECK(integer_of("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f") ==
        std::numeric_limits<std::int64_t>::max());
  CHECK(integer_of("\x8a\x08\0\0\0\0\0\0\0\x80"sv) == std::numeric_limits<std::int64_t>::min());
  CHECK(integer_of("\x8b\1\0\0\0\x80"sv) == -128);
}

TEST_CASE("an integer of more than 64 bits, such as a random seed, is no error") {
  read_body("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0"sv,
            [](auto& value) { CHECK(value.kind == Kind::big_integer); });
}

TEST_CASE("containers of a pickle keep their items and the order of these") {
  for (const std::string_view tuple : {"K\1K\2\x86"sv, "(K\1K\2t"sv})
    read_body(tuple, [](auto& value) {
      CHECK(value.kind == Kind::tuple);
      REQUIRE(value.items().size() == 2);
      CHECK(value.items()[0]->integer() == 1);
      CHECK(value.items()[1]->integer() == 2);
    });
  read_body(")", [](auto& value) { CHECK(value.kind == Kind::tuple); });
  read_body("K\1\x85", [](auto& value) { CHECK(value.items().size() == 1); });
  read_body("K\1K\2K\3\x87", [](auto& value) { CHECK(value.items()[2]->integer() == 3); });
  for (const std::string_view list : {"]K\1aK\2a"sv, "](K\1K\2e"sv, "(K\1K\2l"sv})
    read_body(list, [](auto& value) {
      CHECK(value.kind == Kind::list);
      REQUIRE(value.items().size() == 2);
      CHECK(value.items()[1]->integer() == 2);
    });
  for (const std::string_view dict : {"}K\1NsK\2Ns"sv, "}(K\1NK\2Nu"sv, "(K\1NK\2Nd"sv})
    read_body(dict, [](auto& value) {
      CHECK(value.kind == Kind::dict);
      REQUIRE(value.items().size() == 4);
      CHECK(value.items()[0]->integer() == 1);
      CHECK(value.items()[2]->integer() == 2);
    });
  for (const std::string_view set : {"\x8f(K\1K\2\x90"sv, "(K\1K\2\x91"sv})
    read_body(set, [](auto& value) {
      CHECK(value.kind == Kind::set);
      CHECK(value.items().size() == 2);
    });
}

TEST_CASE("an OrderedDict is a dict however it was pickled, and its attributes are left out") {
  constexpr std::string_view written_by_python_3 =
      "ccollections\nOrderedDict\n)R(U\1aK\1U\1bK\2u}U\x09_metadataNsb"sv;
  constexpr std::string_view written_by_python_2 =
      "ccollections\nOrderedDict\n](](U\1aK\1e](U\1bK\2ee\x85R"sv;
  for (const std::string_view body : {written_by_python_3, written_by_python_2})
    read_body(body, [](auto& value) {
      CHECK(value.kind == Kind::dict);
      REQUIRE(value.items().size() == 4);
      CHECK(value.items()[0]->text() == "a");
      CHECK(value.items()[3]->integer() == 2);
    });
  read_body("ccollections\ndefaultdict\nc__builtin__\nint\n\x85R(U\1aK\1u",
            [](auto& value) { CHECK(value.kind == Kind::dict); });
}

TEST_CASE("functions and classes in a pickle are names only") {
  for (const std::string_view body :
       {"cos\nsystem\nU\4true\x85R"sv, "U\2osU\6system\x93U\4true\x85\x81"sv,
        "cos\nsystem\nU\4true\x85}\x92"sv, "cos\nsystem\nU\4true\x85R(K\1e"sv,
        "cos\nsystem\nU\4true\x85RNb"sv})
    read_body(body, [](auto& value) {
      CHECK(value.kind == Kind::object);
      CHECK(value.is_call_of("os", "system"));
      CHECK(pickle::dotted_name(*value.items()[0]) == "os.system");
      CHECK(value.items()[1]->items()[0]->text() == "true");
    });
  read_body("U\2idQ", [](auto& value) {
    CHECK(value.kind == Kind::persistent);
    CHECK(value.items()[0]->text() == "id");
  });
}

TEST_CASE("the memo gives back what was put in, by any of its opcodes") {
  CHECK(integer_of("K\7q\x05"
                   "0h\x05") == 7);
  CHECK(integer_of("K\7r\x0a\0\0\0"
                   "0j\x0a\0\0\0"sv) == 7);
  CHECK(integer_of("K\1q\5K\7\x94"  // the second thing in the memo is number 1
                   "0h\1") == 7);
  CHECK(integer_of("K\7\x94"
                   "0h\0"sv) == 7);
  CHECK(integer_of("K\7"
                   "2\x86"
                   "0K\7") == 7);
  CHECK(integer_of("K\7(K\1K\2"
                   "1") == 7);
  CHECK(integer_of("K\7(0") == 7);
}

TEST_CASE("a damaged pickle is refused with the byte and the opcode") {
  CHECK(body_error("N0\x42") == "the pickle ends too early, at byte 4 (opcode 0x42 'B')");
  CHECK(body_error("\x01") ==
        "the pickle has an opcode that torch.save does not write, at byte 2 (opcode 0x01)");
  CHECK(error_of("") == "the pickle does not start as protocols 2 to 5 do, at byte 0 (no opcode)");
  CHECK(error_of("N.").starts_with("the pickle does not start"));
  CHECK(error_of("\x80\x02N") == "the pickle ends too early, at byte 3 (no opcode)");
  CHECK(error_of("\x80\x06N.").starts_with("the pickle has protocol 6, not 2 to 5, at byte 0"));
  CHECK(error_of("\x80\x01N.").starts_with("the pickle has protocol 1"));
  CHECK(body_error("h\x03") ==
        "the pickle uses memo 3, which was never set, at byte 2 (opcode 0x68 'h')");
}

TEST_CASE("lengths beyond the end of the pickle are refused, however large") {
  for (const std::string_view body :
       {"X\xff\xff\xff\xff"sv, "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"sv, "T\xff\xff\xff\xff"sv,
        "\x8b\xff\xff\xff\x7f"sv, "\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"sv, "U\xff"sv, "\x8a\xff"sv,
        "\x95\xff\xff\xff\xff\xff\xff\xff\xff"sv, "cmodule"sv, "cmodule\nname"sv})
    CHECK(body_error(body).starts_with("the pickle ends too early"));
}

TEST_CASE("the stack of a pickle cannot be emptied further than to its mark") {
  for (const std::string_view body :
       {""sv,   "0"sv,    "2"sv,     "a"sv,      "K\1a"sv, "s"sv,   "NNs"sv, "R"sv,    ")R"sv,
        "Q"sv,  "\x85"sv, "N\x86"sv, "NN\x87"sv, "b"sv,    "NbN"sv, "q\1"sv, "\x94"sv, "](N(a"sv,
        "N("sv, "N(b"sv,  "\x93"sv,  "\x81"sv,   "\x92"sv, "(e"sv,  "(u"sv,  "(\x90"sv})
    CHECK_MESSAGE(!body_error(body).empty(), body);
  for (const std::string_view body : {"t"sv, "l"sv, "d"sv, "]e"sv, "}u"sv, "1"sv, "\x91"sv})
    CHECK(body_error(body).starts_with("the pickle has no mark to go back to"));
}

TEST_CASE("nothing reaches across the end of a frame, where Python loses bytes") {
  CHECK(body_error("\x95\4\0\0\0\0\0\0\0K\1K\2\x86"sv).empty());
  CHECK(body_error("\x95\2\0\0\0\0\0\0\0M\1\0"sv)
            .starts_with("the pickle has something across a frame's end, at byte 11"));
  CHECK(body_error("\x95\2\0\0\0\0\0\0\0cx\ny\n"sv).find("across a frame's end") !=
        std::string::npos);
  CHECK(body_error("\x95\x0b\0\0\0\0\0\0\0\x95\2\0\0\0\0\0\0\0K\1"sv)
            .starts_with("the pickle has a frame in a frame"));
}

TEST_CASE("opcodes are refused on values that they do not fit") {
  for (const std::string_view body :
       {"NK\1a"sv, ")(K\1e"sv, "NNNs"sv, "](NNu"sv, "}(N\x90"sv, "}K\1a"sv})
    CHECK(body_error(body).starts_with("the pickle adds items to something that holds none"));
  CHECK(body_error("}(Nu").starts_with("the pickle has a key without a value"));
  CHECK(body_error("(Nd").starts_with("the pickle has a key without a value"));
  CHECK(body_error("cos\nsystem\nNR").starts_with("the pickle has a call without a tuple"));
  CHECK(body_error("NU\1a\x93").starts_with("the pickle has a name that is no text"));
  CHECK(body_error("U\1aN\x93").starts_with("the pickle has a name that is no text"));
  CHECK(body_error("ccollections\nOrderedDict\n](K\1K\2e\x85R")
            .starts_with("the pickle has an OrderedDict of something else than pairs"));
  CHECK(body_error("ccollections\nOrderedDict\n](](K\1ee\x85R")
            .starts_with("the pickle has an OrderedDict of something else than pairs"));
}

TEST_CASE("a pickle cannot ask for memory without end") {
  namespace limits = mnv3::weights::limits;
  CHECK(body_error(std::string(limits::values + 1, ']')).starts_with("the pickle has too many"));
  CHECK(body_error(std::string(limits::values + 1, '(')).starts_with("the pickle has too many"));
  for (const std::string_view far : {"K\1r\xff\xff\xff\x7f"sv, "K\1r\x0a\0\0\0"sv})
    CHECK(body_error(far).starts_with("the pickle has an impossible memo"));
  // Many small calls that copy one large list: more work than the pickle's size allows.
  const std::string list = "ccollections\nOrderedDict\nq\2](" + [] {
    std::string pairs;
    for (int i = 0; i < 10'000; ++i) pairs += "NN\x86";
    return pairs;
  }() + "e\x85q\1";
  std::string calls;
  for (int i = 0; i < 10'000; ++i) calls += "h\2h\1R0";
  CHECK(body_error(list + calls).starts_with("the pickle has too many values"));
}

TEST_CASE("a value that was used as it was cannot be changed afterwards") {
  // In Python, the object has the attributes that the dict had then.
  CHECK(body_error("cmodels\nNet\n)\x81}q\1bh\1U\1aNs").find("changes a value that it has used") !=
        std::string::npos);
  CHECK(body_error("ctorch._utils\nf\n]q\1\x85Rh\1Na").find("changes a value that it has used") !=
        std::string::npos);
  CHECK(body_error("cmodels\nNet\n)\x81}bNb").find("gives an object two states") !=
        std::string::npos);
  CHECK(body_error("cmodels\nf\n]q\1\x85R0h\1Na").empty());  // whatever f is, it is none of ours
  // In Python, tensor[0] = 1, and tensor.set_(...).
  CHECK(body_error("ctorch._utils\n_rebuild_tensor_v2\n)RK\2K\1s").find("changes a tensor") !=
        std::string::npos);
  CHECK(body_error("ctorch._utils\n_rebuild_tensor_v2\n)R(NNNNtb").find("changes a tensor") !=
        std::string::npos);
  CHECK(body_error("ctorch.nn.parameter\nParameter\n)R(\x88\x89}tb").empty());  // torch 0.3
}

TEST_CASE("a class makes an empty dict, whatever it is given; a call looks at it") {
  for (const std::string_view made : {"ccollections\nOrderedDict\n(K\1K\2\x86l\x85\x81"sv,
                                      "ccollections\ndefaultdict\nN}K\1K\2s\x86\x81"sv})
    read_body(made, [](auto& value) { CHECK(value.items().empty()); });
  for (const std::string_view made : {"ccollections\nOrderedDict\n}K\1K\2s\x85R"sv,
                                      "ccollections\nOrderedDict\n((K\1K\2tt\x85R"sv,
                                      "ccollections\ndefaultdict\nN}K\1K\2s\x86R"sv})
    read_body(made, [](auto& value) {
      REQUIRE(value.kind == Kind::dict);
      CHECK(value.items().size() == 2);
    });
}

TEST_CASE("what LibTorch's C++ notes about types is left out") {
  read_body(
      "ctorch.jit._pickle\nrestore_type_tag\n}q\1U\x11"
      "Dict[str, Tensor]\x86R"
      "K\1K\2s",
      [](auto& value) {
        CHECK(value.kind == Kind::dict);
        CHECK(value.items().size() == 2);
      });
  read_body("ctorch.jit._pickle\nbuild_intlist\n]K\1a\x85R",
            [](auto& value) { CHECK(value.kind == Kind::list); });
}

TEST_CASE("an integer is the same however many bytes it has") {
  CHECK(integer_of("\x8a\x0a\1\0\0\0\0\0\0\0\0\0"sv) == 1);
  CHECK(integer_of("\x8a\x0a\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv) == -2);
  read_body("\x8a\x09\0\0\0\0\0\0\0\x80\0"sv,
            [](auto& value) { CHECK(value.kind == Kind::big_integer); });
}

TEST_CASE("no damage to a pickle makes its reader misbehave") {
  pickle::StateDictWriter writer;
  const std::array<std::int64_t, 2> sizes{2, 3};
  const std::array<std::int64_t, 2> strides{3, 1};
  writer.tensor("features.0.weight", "FloatStorage", "0", sizes, strides, 6);
  const std::string state_dict = std::move(writer).finish();
  const std::string everything = with_frame(
      "}(U\1a(K\1M\1\1J\1\0\0\0\x8a\1\1G\0\0\0\0\0\0\0\0tq\0U\1b]h\0ah\0acx\ny\nh\0\x85RNb\x8f("
      "N\x90"
      "U\1c\x94"
      "0h\0U\1dQ(NNdu"sv);
  for (const std::string& good : {state_dict, everything}) {
    for (std::size_t length = 0; length < good.size(); ++length)
      CHECK_FALSE(error_of(std::string_view(good).substr(0, length)).empty());
    for (std::size_t at = 0; at < good.size(); ++at)
      for (int byte = 0; byte < 256; ++byte) {
        std::string bad = good;
        bad[at] = static_cast<char>(byte);
        error_of(bad);  // anything but a crash; the sanitizers watch
      }
  }
}

TEST_CASE("a written state dict is read back") {
  pickle::StateDictWriter writer;
  const std::array<std::int64_t, 1> sizes{std::int64_t{1} << 40};
  writer.tensor("a", "HalfStorage", "7", sizes, sizes, sizes[0]);
  const std::string bytes = std::move(writer).finish();
  const pickle::Document document = pickle::read(bytes);
  REQUIRE(document.root->kind == Kind::dict);
  REQUIRE(document.root->items().size() == 2);
  CHECK(document.root->items()[0]->text() == "a");
  const pickle::Value& call = *document.root->items()[1];
  CHECK(call.is_call_of("torch._utils", "_rebuild_tensor_v2"));
  const auto arguments = call.items()[1]->items();
  REQUIRE(arguments.size() == 6);
  const auto storage = arguments[0]->items()[0]->items();
  CHECK(storage[1]->is_global("torch", "HalfStorage"));
  CHECK(storage[2]->text() == "7");
  CHECK(storage[4]->integer() == sizes[0]);
  CHECK(arguments[2]->items()[0]->integer() == sizes[0]);
}
