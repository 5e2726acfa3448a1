// SPDX-License-Identifier: MIT
#include <mnv3/weights/formats/read_checkpoint.hpp>
#include <mnv3/weights/formats/tensor_values.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "archive.hpp"
#include "folder.hpp"

// Kinds of tensors, storages and files.

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using archive::Archive;
using mnv3::weights::Checkpoint;
using mnv3::weights::InputFile;

std::string storage(std::string_view type = "torch\nFloatStorage", std::string_view key = "0",
                    int elements = 4, std::string_view rest = {}) {
  return "(U\7storagec" + std::string(type) + "\nU" + static_cast<char>(key.size()) +
         std::string(key) + "U\3cpuK" + static_cast<char>(elements) + std::string(rest) + "tQ";
}

std::string tensor(const std::string& of = storage(), int elements = 4,
                   std::string_view rest = {}) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + of + "K\0K"s + static_cast<char>(elements) +
         "\x85K\1\x85\x89N" + std::string(rest) + "tR";
}

std::string dict_of(const std::string& w, const std::string& other) {
  return "\x80\2}(U\1w" + w + "U\1x" + other + "u.";
}

std::string zip_of(const std::string& pickle) {
  return Archive{{{"a/data.pkl", pickle}, {"a/data/0", std::string(16, 'x')}}}.bytes();
}

std::string legacy_of(const std::string& pickle, const std::string& keys, const std::string& data) {
  return "\x80\2\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}." + pickle +
         "\x80\2" + keys + "." + data;
}

/// How long a storage of a legacy file is, before its values.
std::string count(std::int64_t elements) {
  return {reinterpret_cast<const char*>(&elements), sizeof elements};
}

Checkpoint read(std::string_view bytes) {
  const InputFile file(std::as_bytes(std::span(bytes)));
  return mnv3::weights::read_checkpoint(file);
}

std::string error_of(std::string_view bytes) {
  try {
    read(bytes);
  } catch (const mnv3::WeightsError& error) {
    return error.what();
  }
  return {};
}

/// Why the second tensor of that pickle cannot be read, though the first can.
std::string unreadable(const std::string& other) {
  const Checkpoint found = read(zip_of(dict_of(tensor(), other)));
  REQUIRE(found.entries.size() == 2);
  CHECK(found.entries[0].unreadable.empty());
  return found.entries[1].unreadable;
}

}  // namespace

TEST_CASE("tensors that cannot be read are entries that say why") {
  CHECK(unreadable(tensor(storage("torch\nComplexFloatStorage", "1", 2), 2)) == "it is complex64");
  CHECK(unreadable("ctorch._utils\n_rebuild_sparse_tensor\n(NNK\3K\3\x86\x87tR") == "it is sparse");
  CHECK(unreadable("ctorch._utils\n_rebuild_nested_tensor\n)R") == "it is a nested tensor");
  CHECK(unreadable("ctorch._utils\n_rebuild_mkldnn_tensor\n)R") == "it is in oneDNN's layout");
  CHECK(unreadable("ctorch._utils\n_rebuild_device_tensor_from_numpy\n)R") ==
        "it is a tensor of another device");
  CHECK(unreadable("ctorch._utils\n_rebuild_wrapper_subclass\n)R") ==
        "it is of a class that has no storage");
  CHECK(unreadable("ctorch._utils\n_rebuild_tomorrow\n)R") ==
        "it is of a kind that is not known (torch._utils._rebuild_tomorrow)");
  for (const std::string dtype : {"float8_e4m3fn", "uint16", "uint64"})
    CHECK(unreadable("ctorch._utils\n_rebuild_tensor_v3\n(" +
                     storage("torch.storage\nUntypedStorage", "1", 8) +
                     "K\0K\1\x85K\1\x85\x89Nctorch\n"s + dtype + "\ntR") == "it is " + dtype);
  CHECK(unreadable(tensor(storage(), 4, "}U\3neg\x88s"sv)) ==
        "it is a view that negates or conjugates");
  CHECK(unreadable(tensor(storage(), 4, "}"sv)).empty());
  std::string meta = storage("torch\nFloatStorage", "1");
  meta.replace(meta.find("U\3cpu"), 5, "U\4meta");
  CHECK(unreadable(tensor(meta)) == "it has no values: it was on the meta device");
}

TEST_CASE("the shape of a tensor that cannot be read is there where it is known") {
  const auto shape = [](const std::string& other) {
    return read(zip_of(dict_of(tensor(), other))).entries.at(1).shape;
  };
  const std::vector<std::int64_t> three_by_three{3, 3};
  CHECK(shape("ctorch._utils\n_rebuild_sparse_tensor\n(N(NNctorch\nSize\nK\3K\3\x86\x85RttR") ==
        three_by_three);
  CHECK(shape("ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat32\nK\3K\3\x86tR") ==
        three_by_three);
  CHECK(shape("ctorch._utils\n_rebuild_qtensor\n(NK\0K\3K\3\x86tR"s) == three_by_three);
  const auto entry =
      read(zip_of(dict_of(tensor(), "ctorch._utils\n_rebuild_qtensor\n)R"))).entries[1];
  CHECK(entry.storage == mnv3::weights::no_storage);
  CHECK(entry.shape.empty());
}

TEST_CASE("a tensor that is spread over too much cannot be read, and asks for no memory") {
  const auto reason = [](int stride) {
    Archive zip{{{"a/data.pkl", dict_of(tensor(), tensor())},
                 {"a/data/0", std::string(std::size_t{1} << 22, 'x')}}};
    std::string& pickle = zip.records[0].data;
    // 2^20 elements, and the second tensor's stride.
    for (std::size_t at = pickle.find("K\4tQ"); at != pickle.npos; at = pickle.find("K\4tQ"))
      pickle.replace(at, 2, "J\0\0\x10\0"s);
    const std::size_t at = pickle.rfind("K\1\x85");
    pickle.replace(at, 2, "J" + std::string(reinterpret_cast<const char*>(&stride), 4));
    const Checkpoint found = read(zip.bytes());
    return found.entries.at(1).unreadable;
  };
  CHECK(reason(80'000).empty());  // 1 MB is always good
  CHECK(reason(300'000) == "its values are spread over too much of its storage");
}

TEST_CASE("storages of every class are stepped over in a legacy file") {
  for (const auto& type : mnv3::weights::storage_types) {
    const std::string other = tensor(storage("torch\n" + std::string(type.name), "9", 3), 3);
    const std::string bytes =
        legacy_of(dict_of(tensor(), other),
                  "](U\1"
                  "9U\1"
                  "0e",
                  count(3) + std::string(static_cast<std::size_t>(3 * type.bytes), 'a') + count(4) +
                      std::string(16, 'w'));
    const InputFile file(std::as_bytes(std::span(bytes)));
    const Checkpoint found = mnv3::weights::read_checkpoint(file);
    REQUIRE(found.entries.size() == 2);
    std::string values(16, '\0');
    mnv3::weights::TensorValues(file, found).copy(found.entries[0], values.data(), 16);
    CHECK_MESSAGE(values == std::string(16, 'w'), type.name);
  }
}

TEST_CASE("a part of a storage is that part, and one name is one part") {
  const auto part = [](std::string_view key, int offset, int size) {
    return tensor(storage("torch\nFloatStorage", "0", 4,
                          "U\1" + std::string(key) + "K" + static_cast<char>(offset) + "K" +
                              static_cast<char>(size) + "\x87"),
                  2);
  };
  const auto file = [](const std::string& w, const std::string& x) {
    return legacy_of(dict_of(w, x),
                     "]U\1"
                     "0a",
                     count(4) + "aaaabbbbccccdddd");
  };
  const std::string bytes = file(part("v", 1, 2), part("u", 2, 2));
  const InputFile input(std::as_bytes(std::span(bytes)));
  const Checkpoint found = mnv3::weights::read_checkpoint(input);
  std::string values(8, '\0');
  const mnv3::weights::TensorValues reader(input, found);
  reader.copy(found.entries.at(0), values.data(), 8);
  CHECK(values == "bbbbcccc");
  reader.copy(found.entries.at(1), values.data(), 8);
  CHECK(values == "ccccdddd");
  // torch takes the first of two parts of one name, and the storage where a part has its name.
  CHECK(error_of(file(part("v", 1, 2), part("v", 2, 2))) == "storage '0' has an impossible view");
  CHECK(error_of(file(part("0", 1, 2), part("v", 2, 2))) == "storage '0' has an impossible view");
  CHECK(error_of(file(part("v", 3, 2), part("u", 2, 2))) == "storage '0' has an impossible view");
  CHECK(error_of(file(part("v", 1, 1), part("u", 2, 2))) ==
        "tensor 'w' reaches beyond the end of its storage");
}

TEST_CASE("tensors and Variables as torch 0.1 wrote them are read") {
  const std::string old = "ctorch\nFloatTensor\n)R(" + storage() + "K\0K\4\x85K\1\x85tb"s;
  const std::string variable = "ctorch.nn.parameter\nParameter\n)\x81(" + old + "NN\x88\x89tb";
  const Checkpoint found = read(zip_of(dict_of(old, variable)));
  REQUIRE(found.entries.size() == 2);
  CHECK(found.entries[1].name == "x");
  CHECK(found.entries[1].shape == std::vector<std::int64_t>{4});
  const std::string later = "ctorch.nn.parameter\nParameter\n" + tensor() + "\x85R(\x88\x89Ntb";
  CHECK(error_of(zip_of(dict_of(tensor(), later))).empty());
  const std::string again = later + "(NNNNNtb";
  CHECK(error_of(zip_of(dict_of(tensor(), again))).find("changes a tensor") != std::string::npos);
  CHECK(error_of(zip_of(dict_of(tensor(), old + "(NNNNtb"))).find("changes a tensor") !=
        std::string::npos);
}

TEST_CASE("a storage that is two is refused: torch takes the first") {
  CHECK(error_of(zip_of(dict_of(tensor(), tensor(storage("torch\nIntStorage"))))) ==
        "storage '0' has two types");
  CHECK(error_of(zip_of(dict_of(tensor(), tensor(storage("torch\nFloatStorage", "0", 3), 3)))) ==
        "storage '0' has two sizes");
}

TEST_CASE("what can be another value later is no shape, no storage and no key") {
  std::string list = tensor();
  list.replace(list.find("K\4\x85K\1"), 3, "]K\4a");
  CHECK(error_of(zip_of(dict_of(tensor(), list))) == "tensor 'x' has an impossible shape");
  std::string id = tensor();
  id.replace(id.find("tQ"), 2, "lQ");
  CHECK(error_of(zip_of(dict_of(tensor(), id))) == "tensor 'x' has no storage");
  // True, 1 and 1.0 are one key in Python, which keeps the last value.
  const auto with_keys = [](std::string_view first, std::string_view second) {
    return error_of(
        zip_of("\x80\2}(" + std::string(first) + tensor() + std::string(second) + "Nu."));
  };
  CHECK(with_keys("K\1", "K\2").empty());
  for (const std::string_view second :
       {"K\1"sv, "\x88"sv, "G\x3f\xf0\0\0\0\0\0\0"sv, "\x8a\x0a\1\0\0\0\0\0\0\0\0\0"sv})
    CHECK(with_keys("K\1", second) == "a dict in it has the key 1 twice");
  CHECK(with_keys("U\1a", "X\1\0\0\0a"sv) == "a dict in it has the key 'a' twice");
  CHECK(with_keys("U\1a", "C\1a").empty());  // bytes are another key
  // setattr(tensor, "data", other)
  const std::string state = "}U\4data" + tensor() + "s";
  CHECK(error_of(zip_of(dict_of(tensor(),
                                "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n"
                                "_rebuild_tensor_v2\nctorch\nTensor\n(" +
                                    storage() + "K\0K\4\x85K\1\x85\x89Nt"s + state + "tR"))) ==
        "it replaces the values of a tensor");
}

TEST_CASE("a legacy file that is a tar archive, too, is refused: torch reads the archive") {
  std::string bytes = legacy_of(dict_of(tensor(), tensor()),
                                "]U\1"
                                "0a",
                                count(4) + std::string(16, 'w'));
  // The first pickle is a number, and what follows its STOP may be anything up to the second.
  bytes.resize(1024, 'x');
  unsigned sum = 8 * ' ';
  for (std::size_t i = 0; i < 512; ++i)
    if (i < 148 || i >= 156) sum += static_cast<unsigned char>(bytes[i]);
  bytes.replace(148, 8, fmt::format("{:06o}", sum) + "\0 "s);
  CHECK(error_of(bytes) == "it is a legacy file of torch.save and a tar archive in one");
}

TEST_CASE("a sparse file of 64 GB is refused at once, whatever it claims to be") {
  const files::TemporaryFolder folder;
  const auto seconds_and_error = [&](const std::function<void(int)>& write) {
    const std::filesystem::path path = folder / "a.pth";
    const mnv3::weights::FileDescriptor fd(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    REQUIRE(::ftruncate(fd.get(), off_t{64} << 30) == 0);
    write(fd.get());
    const auto begin = std::chrono::steady_clock::now();
    std::string error;
    try {
      const InputFile file(path);
      mnv3::weights::read_checkpoint(file);
    } catch (const mnv3::WeightsError& failure) {
      error = failure.what();
    }
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    CHECK_FALSE(error.empty());
    CHECK(time.count() < 1);
  };
  const auto put = [](int fd, off_t at, std::string_view bytes) {
    REQUIRE(::pwrite(fd, bytes.data(), bytes.size(), at) == static_cast<ssize_t>(bytes.size()));
  };
  constexpr off_t end = off_t{64} << 30;
  seconds_and_error([](int) {});
  seconds_and_error([&](int fd) { put(fd, 0, "\0\0\0\0\0\0\0\0{"sv); });
  seconds_and_error([&](int fd) { put(fd, 0, count(90'000'000) + "{"); });
  seconds_and_error([&](int fd) { put(fd, 0, count(std::int64_t{60} << 30) + "{"); });
  seconds_and_error([&](int fd) {  // a pickle that is one text
    put(fd, 0, legacy_of("\x80\2\x8d" + count(std::int64_t{60} << 30), "", ""));
  });
  const auto zip = [&](std::uint64_t stored, std::uint64_t directory) {
    seconds_and_error([&](int fd) {
      Archive archive{{{"a/data.pkl", ""}}};
      archive.is_64_bit = true;
      archive.records[0].said_stored = archive.records[0].said_bytes = stored;
      std::string bytes = archive.bytes();
      const std::size_t local = 30 + 10;
      put(fd, 0, bytes.substr(0, local));
      bytes = bytes.substr(local);
      const off_t begin = end - static_cast<off_t>(bytes.size() + directory);
      const auto patch = [&](std::size_t at, std::uint64_t number) {
        bytes.replace(at, 8, count(static_cast<std::int64_t>(number)));
      };
      const std::size_t end64 = bytes.rfind("PK\6\6");
      patch(end64 + 40, end64 + directory);
      patch(end64 + 48, static_cast<std::uint64_t>(begin));
      patch(bytes.rfind("PK\6\7") + 8, static_cast<std::uint64_t>(end) - bytes.size() + end64);
      put(fd, end - static_cast<off_t>(bytes.size()), bytes);
    });
  };
  zip(std::uint64_t{60} << 30, 0);
  zip(100, std::uint64_t{50} << 30);
}
