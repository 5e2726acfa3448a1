// SPDX-License-Identifier: MIT
#include <mnv3/weights/checkpoint_file.hpp>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "archive.hpp"
#include "folder.hpp"
#include "python.hpp"
#include "safetensors.hpp"

namespace {

using namespace std::string_literals;
using files::bytes_of;
using files::contains;
using files::safetensors_of;
using mnv3::CheckpointFile;
using mnv3::TensorEntry;

CheckpointFile in_memory(std::string_view bytes) {
  return CheckpointFile(std::as_bytes(std::span(bytes)));
}

const TensorEntry& entry_of(const CheckpointFile& file, std::string_view name) {
  for (const TensorEntry& entry : file.entries())
    if (entry.name == name) return entry;
  FAIL("there is no such tensor: ", name);
  return file.entries()[0];
}

/// The values of the only tensor of a file of one row.
template <class To, class Number>
std::vector<To> converted(std::string_view dtype, const std::vector<Number>& numbers) {
  const std::string bytes = safetensors_of(
      {{"w", std::string(dtype), {static_cast<std::int64_t>(numbers.size())}, bytes_of(numbers)}});
  const CheckpointFile file = in_memory(bytes);
  return file.values<To>(file.entries()[0]);
}

/// The same number, bit for bit; any NaN is like any other.
template <class T>
bool is_same(T a, T b) {
  return std::isnan(a) ? std::isnan(b) : std::memcmp(&a, &b, sizeof a) == 0;
}

template <class T>
bool are_same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), is_same<T>);
}

}  // namespace

TEST_CASE("values of every floating-point type become float and double") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::uint16_t> halves{0x0000, 0x8000, 0x3c00, 0xc000, 0x3555, 0x0001,
                                          0x83ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x7e01};
  const std::vector<float> from_halves{0,         -0.0F,         1,        -2,       0x1.554p-2F,
                                       0x1p-24F,  -0x1.ff8p-15F, 0x1p-14F, 65504.0F, infinity,
                                       -infinity, std::nanf("")};
  CHECK(are_same(converted<float>("F16", halves), from_halves));
  CHECK(are_same(converted<double>("F16", halves),
                 std::vector<double>(from_halves.begin(), from_halves.end())));

  const std::vector<std::uint16_t> brains{0x0000, 0x8000, 0x3f80, 0xc049, 0x0001, 0x7f80, 0xffc1};
  const std::vector<float> from_brains{0, -0.0F, 1, -3.140625F, 0x1p-133F, infinity, std::nanf("")};
  CHECK(are_same(converted<float>("BF16", brains), from_brains));
  CHECK(are_same(converted<double>("BF16", brains),
                 std::vector<double>(from_brains.begin(), from_brains.end())));

  const std::vector<float> floats{0.1F, -0.0F, 0x1p-149F, infinity, 3};
  CHECK(are_same(converted<float>("F32", floats), floats));
  CHECK(are_same(converted<double>("F32", floats),
                 std::vector<double>(floats.begin(), floats.end())));

  const std::vector<double> doubles{1.0 / 3, 0x1.000001p0, 0x1.000003p0, -0.0, 0x1p-150, 1e300};
  CHECK(are_same(converted<double>("F64", doubles), doubles));
  // To the nearest, and of two as near to the even one.
  CHECK(are_same(converted<float>("F64", doubles),
                 std::vector<float>{0x1.555556p-2F, 1, 0x1.000004p0F, -0.0F, 0, infinity}));
}

TEST_CASE("values are those that Python's torch has, however they were saved") {
  if (!files::has_torch()) return;
  const files::TemporaryFolder folder;
  files::run_script(folder, R"(
import struct, sys, torch
base = torch.linspace(-3, 3, 360, dtype=torch.float64).sin()
layouts = {}
for dtype in torch.float64, torch.float32, torch.float16, torch.bfloat16:
    t, kind = base.to(dtype, copy=True), str(dtype)[6:]
    layouts.update({kind + '.' + name: value for name, value in {
        'dense': t.reshape(3, 4, 30), 'transposed': t.reshape(18, 20).t(),
        'channels_last': t.reshape(2, 3, 6, 10).contiguous(memory_format=torch.channels_last),
        'permuted': t.reshape(2, 3, 4, 5, 3).permute(4, 1, 3, 0, 2), 'part': t.reshape(18, 20)[3:9],
        'columns': t.reshape(18, 20)[:, 4:7], 'every_third': t[1::3], 'expanded': t[5:8].expand(4, 3),
        'ones': t.reshape(1, 360, 1, 1)[:, ::7], 'scalar': t[17], 'empty': t[:0].reshape(0, 3),
        }.items()})
words = torch.arange(-32768, 32768).to(torch.int16)
layouts['float16.all'] = words.clone().view(torch.float16)
layouts['bfloat16.all'] = words.clone().view(torch.bfloat16)
torch.save(layouts, sys.argv[1] + '/zip.pth')
torch.save(layouts, sys.argv[1] + '/legacy.pth', _use_new_zipfile_serialization=False)
for name, value in layouts.items():
    for code, dtype in ('f', torch.float32), ('d', torch.float64):
        numbers = value.to(dtype).flatten().tolist()
        with open(f'{sys.argv[1]}/{name}.{code}', 'wb') as file:
            file.write(struct.pack(f'<{len(numbers)}{code}', *numbers))
)");
  for (const char* const name : {"zip.pth", "legacy.pth"}) {
    const CheckpointFile file(folder / name);
    CHECK(file.entries().size() == 46);
    for (const TensorEntry& entry : file.entries()) {
      CAPTURE(entry.name);
      const auto check = [&]<class T>(const std::vector<T>& values, const char* code) {
        const std::string bytes = files::read(folder / (entry.name + code));
        std::vector<T> wanted(bytes.size() / sizeof(T));
        std::memcpy(wanted.data(), bytes.data(), bytes.size());
        CHECK(are_same(values, wanted));
      };
      check(file.values<float>(entry), ".f");
      check(file.values<double>(entry), ".d");
    }
  }
}

TEST_CASE("of a file no more is read than the values that are asked for") {
  const std::string bytes =
      safetensors_of({{"a", "F32", {2, 3}, bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6})},
                      {"b", "F16", {4}, "12345678"}});
  const CheckpointFile file = in_memory(bytes);
  const std::uint64_t before = file.bytes_read();
  TensorEntry entry = entry_of(file, "a");
  CHECK(file.span_bytes(entry) == 24);
  CHECK(file.values<float>(entry) == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(file.bytes_read() - before == 24);
  entry.shape = {1, 3};
  entry.offset = 3;
  CHECK(file.values<double>(entry) == std::vector<double>{4, 5, 6});
  CHECK(file.bytes_read() - before == 36);
  entry.offset = 4;
  CHECK(contains(files::error_of([&] { file.values<float>(entry); }),
                 "mnv3: cannot read memory: tensor 'a' reaches beyond the end of its storage"));
}

TEST_CASE("a file says whether somebody wrote to it since it was opened") {
  const files::TemporaryFolder folder;
  const std::string bytes = safetensors_of({{"a", "F32", {1}, "1234"}});
  files::write(folder / "a.safetensors", bytes);
  const CheckpointFile file(folder / "a.safetensors");
  CHECK(!file.has_changed());
  file.values<float>(file.entries()[0]);
  CHECK(!file.has_changed());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the clock of the times ticks
  files::write(folder / "a.safetensors", bytes);
  CHECK(file.has_changed());
  CHECK(!in_memory(bytes).has_changed());
}

TEST_CASE("integers and booleans are no weights") {
  const std::string bytes = safetensors_of({{"a.num_batches_tracked", "I64", {}, "12345678"},
                                            {"b", "BOOL", {1}, "\1"},
                                            {"c", "U8", {0}, ""},
                                            {"d", "F8_E4M3", {1}, "x"}});
  const CheckpointFile file = in_memory(bytes);
  const auto refusal = [&](int i) {
    return files::error_of(
        [&] { file.values<float>(file.entries()[static_cast<std::size_t>(i)]); });
  };
  CHECK(refusal(0) ==
        "mnv3: cannot read memory: tensor 'a.num_batches_tracked' is int64, but only float32, "
        "float64, float16 and bfloat16 can be read here. Save it as one of these: tensor.float()");
  CHECK(contains(refusal(1), "tensor 'b' is bool, but"));
  CHECK(contains(refusal(2), "tensor 'c' is uint8, but"));
  CHECK(contains(refusal(3), "tensor 'd' cannot be read: it is F8_E4M3"));
}

TEST_CASE("a few values that are said to be many are not made so many") {
  // 2^40 times the same element, and 2^20 times.
  const auto pickle = [](const std::string& size) {
    return "\x80\2}U\1wctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nFloatStorage\n"
           "U\0010U\3cpuK\1tQK\0"s +
           size + "\x85K\0\x85\x89NtRs."s;
  };
  const auto file_of = [&](const std::string& size) {
    return archive::Archive{
        {{"a/data.pkl", pickle(size)}, {"a/data/0", bytes_of(std::vector<float>{2.5F})}}}
        .bytes();
  };
  const std::string huge = file_of("\x8a\6\0\0\0\0\0\1"s), large = file_of("J\0\0\x10\0"s);
  const CheckpointFile many = in_memory(huge), fewer = in_memory(large);
  CHECK(contains(files::error_of([&] { many.values<float>(many.entries()[0]); }),
                 "tensor 'w' repeats its values many times over. Save it dense"));
  CHECK(fewer.values<float>(fewer.entries()[0]) == std::vector<float>(1 << 20, 2.5F));
}

TEST_CASE("bytes of several tensors are copied as they were saved") {
  const std::string bytes = safetensors_of(
      {{"a", "I32", {2}, "abcdefgh"}, {"b", "F16", {0}, ""}, {"c", "U8", {3}, "xyz"}});
  const CheckpointFile file = in_memory(bytes);
  std::vector<std::string> copies;
  copies.reserve(3);
  file.copy(file.entries(), [&](const TensorEntry&, std::size_t size) {
    return copies.emplace_back(size, '?').data();
  });
  CHECK(copies == std::vector<std::string>{"abcdefgh", "", "xyz"});
}
