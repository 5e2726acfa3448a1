// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/weights/checkpoint_reader.hpp>
#include <mnv3/weights/tensors/pth_writer.hpp>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.hpp"

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using files::TemporaryFolder;
using Tensors = std::vector<std::pair<std::string, torch::Tensor>>;
using Sizes = std::vector<std::int64_t>;

Tensors read_all(const std::filesystem::path& path) {
  const mnv3::CheckpointReader reader(path);
  Tensors tensors;
  for (const mnv3::TensorEntry& entry : reader.entries())
    tensors.emplace_back(entry.name, reader.read(entry));
  return tensors;
}

Tensors round_trip(const Tensors& tensors) {
  const TemporaryFolder folder;
  mnv3::write_pth(folder / "a.pth", tensors);
  return read_all(folder / "a.pth");
}

/// What opening and reading a file with those bytes says, without the folder's name.
std::string error_of_file(std::string_view bytes) {
  const TemporaryFolder folder;
  files::write(folder / "a.pth", bytes);
  const std::string error = files::error_of([&] { read_all(folder / "a.pth"); });
  const std::string begin = "mnv3: cannot read " + (folder / "a.pth").string() + ": ";
  if (error.empty()) return error;
  REQUIRE(error.starts_with(begin));
  return error.substr(begin.size());
}

std::string error_of_write(const std::filesystem::path& path, const Tensors& tensors) {
  const std::string error = files::error_of([&] { mnv3::write_pth(path, tensors); });
  const std::string begin = "mnv3: cannot write " + path.string() + ": ";
  if (error.empty()) return error;
  REQUIRE(error.starts_with(begin));
  return error.substr(begin.size());
}

/// The pickle of one tensor of float32 called "w" in the storage "0" of `numel` elements.
std::string pickle_of(const Sizes& sizes, const Sizes& strides, std::int64_t numel,
                      std::string_view storage_type = "FloatStorage") {
  mnv3::weights::pickle::StateDictWriter writer;
  writer.tensor("w", storage_type, "0", sizes, strides, numel);
  return std::move(writer).finish();
}

/// The error of a file with such a tensor and a storage of six floats.
std::string error_of_tensor(const Sizes& sizes, const Sizes& strides, std::int64_t numel) {
  return error_of_file(files::zip(
      {{"data.pkl", pickle_of(sizes, strides, numel)}, {"data/0", std::string(24, 'x')}}));
}

std::string with_frame(std::string_view body) { return "\x80\x02" + std::string(body) + "."; }

std::string error_of_pickle(std::string_view body) {
  return error_of_file(
      files::zip({{"data.pkl", with_frame(body)}, {"data/0", std::string(24, 'x')}}));
}

const std::string good_tensor =
    "ctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nFloatStorage\nU\1"
    "0U\3cpuK\6tQK\0K\6"
    "\x85K\1\x85\x89Nt"s +
    "R";

bool same(const torch::Tensor& a, const torch::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && torch::equal(a, b);
}

}  // namespace

TEST_CASE("a tensor of every supported dtype comes back as it was") {
  Tensors tensors;
  for (const auto& dtype : mnv3::weights::dtypes)
    tensors.emplace_back(std::string(dtype.name), torch::arange(-3, 9).reshape({3, 4}).to(
                                                      mnv3::weights::scalar_type_of(dtype.dtype)));
  const Tensors back = round_trip(tensors);
  REQUIRE(back.size() == tensors.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    CHECK(back[i].first == tensors[i].first);
    CHECK_MESSAGE(same(back[i].second, tensors[i].second), back[i].first);
  }
}

TEST_CASE("scalars, empty tensors and strided tensors come back with their values") {
  const torch::Tensor base = torch::arange(120).to(torch::kFloat).reshape({2, 3, 4, 5});
  const Tensors tensors{
      {"scalar", torch::tensor(7)},
      {"empty", torch::empty({0, 3})},
      {"channels_last", base.contiguous(at::MemoryFormat::ChannelsLast)},
      {"transposed", base.transpose(0, 3)},
      {"slice", base.slice(1, 1, 3).slice(3, 0, 5, 2)},
      {"expanded", torch::ones({1, 3}).expand({4, 3})},
      {"needs_grad", torch::ones({2}, torch::requires_grad())},
      {"negated", torch::imag(torch::conj(torch::ones({1}, torch::kComplexFloat) *
                                          c10::complex<float>(0, 2)))},
      {"large", torch::arange(100'000)},
  };
  const Tensors back = round_trip(tensors);
  REQUIRE(back.size() == tensors.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    CHECK_MESSAGE(same(back[i].second, tensors[i].second.detach()), back[i].first);
    CHECK(back[i].second.sizes() == tensors[i].second.sizes());
    CHECK_FALSE(back[i].second.requires_grad());
  }
}

TEST_CASE("an empty tensor has the strides that torch gives one") {
  const Tensors back = round_trip({{"w", torch::empty({3, 0})}});
  CHECK(back.at(0).second.strides() == torch::empty({3, 0}).strides());
}

TEST_CASE("the order of the file is kept, and nothing else is counted in it") {
  const TemporaryFolder folder;
  mnv3::write_pth(folder / "a.pth", {{"z", torch::ones(1)}, {"a", torch::ones(2)}});
  const mnv3::CheckpointReader reader(folder / "a.pth");
  REQUIRE(reader.entries().size() == 2);
  CHECK(reader.entries()[0].name == "z");
  CHECK(reader.entries()[1].shape == Sizes{2});
  CHECK((reader.entries()[1].dtype == mnv3::Dtype::float32));
  CHECK(reader.skipped_values() == 0);
  CHECK(reader.path() == folder / "a.pth");
}

TEST_CASE("a tensor that was read owns its memory and outlives the reader") {
  const TemporaryFolder folder;
  mnv3::write_pth(folder / "a.pth", {{"w", torch::ones({2, 2})}});
  torch::Tensor first, second;
  {
    mnv3::CheckpointReader opened(folder / "a.pth");
    const mnv3::CheckpointReader reader = std::move(opened);
    first = reader.read(reader.entries()[0]);
    second = reader.read(reader.entries()[0]);
  }
  first.fill_(5);
  CHECK(same(second, torch::ones({2, 2})));
  CHECK_FALSE(first.is_view());
}

TEST_CASE("tensors that share a storage are each read from their part of it") {
  mnv3::weights::pickle::StateDictWriter writer;
  writer.tensor("row_major", "FloatStorage", "0", Sizes{2, 3}, Sizes{3, 1}, 6);
  writer.tensor("column_major", "FloatStorage", "0", Sizes{3, 2}, Sizes{1, 3}, 6);
  writer.tensor("first", "FloatStorage", "0", Sizes{}, Sizes{}, 6);
  writer.tensor("repeated", "FloatStorage", "0", Sizes{1000, 2}, Sizes{0, 1}, 6);
  const torch::Tensor values = torch::arange(6).to(torch::kFloat);
  const std::string storage(static_cast<const char*>(values.data_ptr()), values.nbytes());
  const TemporaryFolder folder;
  files::write(folder / "a.pth",
               files::zip({{"data.pkl", std::move(writer).finish()}, {"data/0", storage}}));
  const Tensors tensors = read_all(folder / "a.pth");
  CHECK(same(tensors.at(0).second, values.reshape({2, 3})));
  CHECK(same(tensors.at(1).second, values.reshape({2, 3}).t()));
  CHECK(tensors.at(1).second.strides() == Sizes{1, 3});
  CHECK(same(tensors.at(2).second, values[0]));
  CHECK(same(tensors.at(3).second, values.slice(0, 0, 2).expand({1000, 2})));
  CHECK(tensors.at(3).second.storage().nbytes() == 8);
}

TEST_CASE("a tensor that starts within its storage is read from there") {
  const torch::Tensor values = torch::arange(6).to(torch::kFloat);
  const std::string storage(static_cast<const char*>(values.data_ptr()), values.nbytes());
  const std::string whole = "QK\0K\6\x85"s;
  const std::size_t at = good_tensor.find(whole);
  REQUIRE(at != std::string::npos);
  std::string part = good_tensor;
  part.replace(at, whole.size(), "QK\2K\3\x85");
  const TemporaryFolder folder;
  files::write(folder / "a.pth",
               files::zip({{"data.pkl", with_frame("}U\1w" + part + "s")}, {"data/0", storage}}));
  CHECK(same(read_all(folder / "a.pth").at(0).second, values.slice(0, 2, 5)));
}

TEST_CASE("a bool is 0 or 1, whatever byte is in the file") {
  const TemporaryFolder folder;
  files::write(folder / "a.pth", files::zip({{"data.pkl", pickle_of({4}, {1}, 4, "BoolStorage")},
                                             {"data/0", "\0\1\2\xff"s}}));
  const torch::Tensor bools = read_all(folder / "a.pth").at(0).second;
  const auto* const bytes = static_cast<const unsigned char*>(bools.data_ptr());
  CHECK(std::vector<int>(bytes, bytes + 4) == std::vector<int>{0, 1, 1, 1});
}

TEST_CASE("tensors in dicts, lists and tuples are named by the way to them") {
  const TemporaryFolder folder;
  files::write(
      folder / "a.pth",
      files::zip({{"data.pkl", with_frame("}(U\5modelccollections\nOrderedDict\n)R(U\1w" +
                                          good_tensor + "uU\5epochK\3U\5lists](" + good_tensor +
                                          good_tensor + "eK\7}U\1x" + good_tensor + "su")},
                  {"data/0", std::string(24, 'x')}}));
  const mnv3::CheckpointReader reader(folder / "a.pth");
  std::vector<std::string> names;
  for (const auto& entry : reader.entries()) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"model.w", "lists.0", "lists.1", "7.x"});
  CHECK(reader.skipped_values() == 1);
}

TEST_CASE("parameters and tensors of other classes are the tensors that they wrap") {
  const std::string function = "ctorch._utils\n_rebuild_tensor_v2\n";
  REQUIRE(good_tensor.starts_with(function));
  const std::string arguments =
      good_tensor.substr(function.size(), good_tensor.size() - 1 - function.size());
  const TemporaryFolder folder;
  files::write(
      folder / "a.pth",
      files::zip({{"data.pkl",
                   with_frame("}(U\1pctorch._utils\n_rebuild_parameter\n" + good_tensor +
                              "\x88)\x87RU\1qctorch._utils\n_rebuild_parameter_with_state\n(" +
                              good_tensor + "\x88)}tRU\1rctorch._tensor\n_rebuild_from_type_v2\n(" +
                              function + "ctorch\nTensor\n" + arguments + "}tRu")},
                  {"data/0", std::string(24, 'x')}}));
  CHECK(read_all(folder / "a.pth").size() == 3);
}

TEST_CASE("untyped storages, which newer torch writes, are read by the tensor's dtype") {
  const std::string begin =
      "}U\1wctorch._utils\n_rebuild_tensor_v3\n((U\7storagectorch.storage\nUntypedStorage\nU\1"
      "0"
      "U\3cpu";
  const std::string shape = "tQK\0K\3\x85K\1\x85\x89N"s;
  const auto file = [&](std::string_view bytes, std::string_view dtype) {
    return files::zip(
        {{"data.pkl", with_frame(begin + std::string(bytes) + shape + std::string(dtype) + "tRs")},
         {"data/0", "\1\0\2\0\3\0"s}});
  };
  const TemporaryFolder folder;
  files::write(folder / "a.pth", file("K\6", "ctorch\nint16\n"));
  CHECK(same(read_all(folder / "a.pth").at(0).second, torch::arange(1, 4).to(torch::kShort)));
  CHECK(error_of_file(file("K\5", "ctorch\nint16\n")) ==
        "tensor 'w' reaches beyond the end of its storage");
  CHECK(error_of_file(file("K\6", "ctorch\nfloat8_e5m2\n")) ==
        "tensor 'w' cannot be read: it is float8_e5m2");
}

TEST_CASE("what is not a file says so") {
  const TemporaryFolder folder;
  const auto error = [](const std::filesystem::path& path) {
    return files::error_of([&] { mnv3::CheckpointReader{path}; });
  };
  CHECK(error(folder / "none.pth") ==
        "mnv3: cannot read " + (folder / "none.pth").string() + ": there is no such file");
  CHECK(error(folder / "none" / "a.pth").ends_with(": there is no such file"));
  CHECK(error(folder.path()).ends_with(": it is a directory"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(error(folder / "pipe").ends_with(": it is not a regular file"));
  if (::geteuid() == 0) {
    MESSAGE("not checked: an unreadable file (root can read all)");
  } else {
    files::write(folder / "secret", "x");
    std::filesystem::permissions(folder / "secret", std::filesystem::perms::none);
    CHECK(error(folder / "secret").ends_with(": Permission denied"));
  }
}

TEST_CASE("files of other kinds are named, with what to do") {
  CHECK(error_of_file("").starts_with("it is empty"));
  CHECK(error_of_file("\x80\x02\x8a\x0al\xfc\x9c").starts_with("it is a Python pickle"));
  CHECK(error_of_file("\x80\x04\x95junk").starts_with("it is a Python pickle"));
  CHECK(error_of_file("\x89HDF\r\n\x1a\n").starts_with("it is an HDF5 file"));
  CHECK(error_of_file("\x1f\x8b\x08").starts_with("it is compressed with gzip"));
  CHECK(error_of_file(std::string(257, 'a') + "ustar").starts_with("it is a tar archive"));
  CHECK(error_of_file("version https://git-lfs.github.com/spec/v1\n")
            .starts_with("it is a Git LFS pointer"));
  CHECK(error_of_file("\n <!DOCTYPE html>").starts_with("it is a web page"));
  CHECK(error_of_file("hello") == "it is a text, not weights. It begins: \"hello\"");
  CHECK(error_of_file("\x80").starts_with("it is none of: a zip archive"));
}

TEST_CASE("zip archives that torch.save did not write are named, with what to do") {
  CHECK(error_of_file(files::zip({{"a.txt", "hello"}})).find("there is no data.pkl in it") !=
        std::string::npos);
  CHECK(error_of_file(files::zip({{"data.pkl", "x"}, {"byteorder", "big"}}))
            .starts_with("it was written on a big-endian machine"));
  CHECK(error_of_file("PK\5\6" + std::string(18, '\0')).find("torch.save wrote") !=
        std::string::npos);
}

#ifdef MNV3_WITH_ZLIB
TEST_CASE("compressed records are unpacked; a part of one is not") {
  const std::string spaces(500, ' ');
  const auto file = [&](const Sizes& sizes, std::size_t bytes) {
    return files::zip(
        {{"data.pkl", pickle_of(sizes, {1}, 60) + spaces}, {"data/0", std::string(bytes, '\0')}},
        true);
  };
  // Nothing as it was: how large the archive is depends on what else LibTorch writes into it.
  CHECK(file({60}, 240).find(spaces) == std::string::npos);
  CHECK(file({60}, 240).find(std::string(240, '\0')) == std::string::npos);
  const TemporaryFolder folder;
  files::write(folder / "a.pth", file({60}, 240));
  CHECK(same(read_all(folder / "a.pth").at(0).second, torch::zeros(60)));
  CHECK(error_of_file(file({59}, 240)).starts_with("tensor 'w' is a part of 'data/0', which is"));
  CHECK(error_of_file(file({60}, 200)).starts_with("tensor 'w' has a storage of 240 bytes"));
}
#endif

TEST_CASE("a file without tensors says what is in it instead") {
  CHECK(error_of_pickle("}").starts_with("there are no tensors in it. Save the state dict"));
  CHECK(error_of_pickle("K\1").starts_with("there are no tensors in it. Save the state dict"));
  CHECK(error_of_pickle("cmodels\nNet\n)\x81}U\1w" + good_tensor + "sb")
            .starts_with("it is a pickled object of class models.Net. Save the state dict in "
                         "Python: torch.save(model.state_dict(), path)"));
  CHECK(error_of_pickle("}U\5modelcmodels\nNet\n)\x81s")
            .starts_with("there are no tensors in it, but an object of class models.Net."));
}

TEST_CASE("tensors of kinds that are not supported are refused by name") {
  CHECK(error_of_pickle("}U\1wctorch._utils\n_rebuild_qtensor\n)Rs") ==
        "tensor 'w' cannot be read: it is quantized");
  CHECK(error_of_pickle("}U\1wctorch._utils\n_rebuild_new_kind\n)Rs") ==
        "tensor 'w' cannot be read: it is of a kind that is not known "
        "(torch._utils._rebuild_new_kind)");
  CHECK(error_of_file(files::zip({{"data.pkl", pickle_of({1}, {1}, 1, "ComplexFloatStorage")}})) ==
        "tensor 'w' cannot be read: it is complex64");
  CHECK(error_of_pickle("}(U\1w" + good_tensor + "U\1w" + good_tensor + "u") ==
        "a dict in it has the key 'w' twice");
  CHECK(error_of_pickle("}(U\3a.b" + good_tensor + "U\1a}U\1b" + good_tensor + "su") ==
        "tensor 'a.b' is there twice");
}

TEST_CASE("calls that torch does not write are refused") {
  const auto tensor = [](std::string_view storage, std::string_view rest) {
    return error_of_pickle("}U\1wctorch._utils\n_rebuild_tensor_v2\n(" + std::string(storage) +
                           std::string(rest) + "tRs");
  };
  constexpr std::string_view storage =
      "(U\7storagectorch\nFloatStorage\nU\1"
      "0U\3cpuK\6tQ"sv;
  CHECK(tensor(storage, "K\0K\6\x85K\1\x85"sv).empty());
  CHECK(tensor(storage, "K\0K\6\x85"sv) == "tensor 'w' has too few values");
  CHECK(tensor(storage, "NK\6\x85K\1\x85"sv) == "tensor 'w' has an impossible shape");
  CHECK(tensor(storage, "K\0NK\1\x85"sv) == "tensor 'w' has an impossible shape");
  CHECK(tensor(storage, "K\0N\x85K\1\x85"sv) == "tensor 'w' has an impossible shape");
  CHECK(tensor(storage, "K\0}K\6K\1sK\1K\1\x86"sv) == "tensor 'w' has an impossible shape");
  CHECK(tensor(storage, "J\xff\xff\xff\xffK\6\x85K\1\x85"sv) ==
        "tensor 'w' has an impossible shape");
  for (const std::string_view none : {"N"sv, ")Q"sv, "NQ"sv, "(U\7storageNNNtQ"sv,
                                      "(U\5otherctorch\nFloatStorage\nU\1"
                                      "0U\3cpuK\6tQ"sv,
                                      "(U\7storagectorch\nFloatStorage\nK\1U\3cpuK\6tQ"sv})
    CHECK(tensor(none, "K\0K\6\x85K\1\x85"sv) == "tensor 'w' has no storage");
  CHECK(tensor("(U\7storagectorch.storage\nUntypedStorage\nU\1"
               "0U\3cpuK\6tQ"sv,
               "K\0K\6\x85K\1\x85"sv) == "tensor 'w' has no dtype");
}

TEST_CASE("a tensor must lie within its storage, and the storage within the file") {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  CHECK(error_of_tensor({2, 3}, {3, 1}, 6).empty());
  CHECK(error_of_tensor({0, huge / 8}, {1, 1}, 0).empty());
  const std::string beyond = "tensor 'w' reaches beyond the end of its storage";
  CHECK(error_of_tensor({7}, {1}, 6) == beyond);
  CHECK(error_of_tensor({2, 3}, {4, 1}, 6) == beyond);
  CHECK(error_of_tensor({}, {}, 0) == beyond);
  CHECK(error_of_tensor({1}, {1}, -1) == "storage '0' has an impossible size");
  CHECK(error_of_tensor({10'000}, {1}, 10'000)
            .starts_with("tensor 'w' has a storage of 40000 bytes, but data/0 has "));
  const std::string impossible = "tensor 'w' has an impossible shape";
  CHECK(error_of_tensor({6}, {1, 1}, 6) == impossible);
  CHECK(error_of_tensor({-1}, {1}, 6) == impossible);
  CHECK(error_of_tensor({-1, 0}, {1, 1}, 6) == impossible);
  CHECK(error_of_tensor({2}, {-1}, 6) == impossible);
  CHECK(error_of_tensor({huge}, {0}, 6) == impossible);
  CHECK(error_of_tensor({huge / 8, huge / 8, 0}, {0, 0, 0}, 6) == impossible);
  CHECK(error_of_tensor({3}, {huge}, 6) == impossible);
  CHECK(error_of_tensor({2, 2}, {huge, huge}, 6) == impossible);
  CHECK(error_of_tensor(Sizes(65, 1), Sizes(65, 1), 6) == impossible);
  CHECK(error_of_tensor({1}, {1}, huge) == "storage '0' has an impossible size");
  CHECK(error_of_file(files::zip({{"data.pkl", pickle_of({6}, {1}, 6)}})) ==
        "tensor 'w' has no values: there is no record data/0");
  CHECK(error_of_file(files::zip({{"data.pkl", pickle_of({0}, {1}, 0)}})).empty());
}

TEST_CASE("a file is refused when it is opened, not when a tensor is read") {
  const TemporaryFolder folder;
  files::write(folder / "a.pth",
               files::zip({{"data.pkl", pickle_of({9999}, {1}, 9999)}, {"data/0", "short"}}));
  CHECK_FALSE(files::error_of([&] { mnv3::CheckpointReader{folder / "a.pth"}; }).empty());
}

TEST_CASE("a record that pretends to begin elsewhere is refused") {
  const std::string good = files::zip({{"data.pkl", pickle_of({6}, {1}, 6)},
                                       {"data/0", std::string(24, 'x')},
                                       {"data/1", std::string(1000, 'y')}});
  const auto with_header = [&](std::string_view record, int length) {
    constexpr std::size_t extra_length = 2;  // before the name, in the local header
    std::string bad = good;
    const std::size_t name = bad.find(record);
    bad.at(name - extra_length) = static_cast<char>(length);
    bad.at(name - extra_length + 1) = static_cast<char>(length >> 8);
    return bad;
  };
  for (const std::string_view record : {"archive/data.pkl", "archive/data/0"}) {
    CHECK(error_of_file(with_header(record, 0xffff))
              .starts_with(fmt::format("record '{}' overlaps what follows it", record)));
    CHECK(error_of_file(with_header(record, 1))
              .starts_with(fmt::format("record '{}' is damaged: its check sum is ", record)));
  }
}

TEST_CASE("a file that shrinks after it was opened is noticed") {
  const TemporaryFolder folder;
  mnv3::write_pth(folder / "a.pth", {{"w", torch::ones(6)}});
  const mnv3::CheckpointReader reader(folder / "a.pth");
  std::filesystem::resize_file(folder / "a.pth", 10);
  CHECK(files::error_of([&] {
          reader.read(reader.entries()[0]);
        }).ends_with("it has shrunk while it was read"));
}

TEST_CASE("a storage cannot reach into the record after it") {
  // 1000 bytes follow; 24 + 64 (alignment) + a header would be fewer than 400.
  const std::string error = error_of_file(files::zip({{"data.pkl", pickle_of({100}, {1}, 100)},
                                                      {"data/0", std::string(24, 'x')},
                                                      {"data/1", std::string(1000, 'y')}}));
  CHECK(error.starts_with("tensor 'w' has a storage of 400 bytes, but data/0 has "));
}

TEST_CASE("a changed entry cannot make the reader leave the storage") {
  const TemporaryFolder folder;
  mnv3::write_pth(folder / "a.pth", {{"w", torch::ones(6)}});
  const mnv3::CheckpointReader reader(folder / "a.pth");
  mnv3::TensorEntry entry = reader.entries()[0];
  entry.offset = 1;
  CHECK(files::error_of([&] {
          reader.read(entry);
        }).ends_with("tensor 'w' reaches beyond the end of its storage"));
}

TEST_CASE("values that contain themselves, or each other many times, are refused") {
  CHECK(error_of_pickle("]q\1h\1a").starts_with("there are no tensors in it"));
  CHECK(error_of_pickle("]q\1(h\1" + good_tensor + "e") == "its values nest without end");
  CHECK(error_of_pickle("}q\1(U\1ah\1U\1b" + good_tensor + "u") == "its values nest without end");
  std::string wrapped = "ctorch._utils\n_rebuild_tensor_v2\n(NNNNt";
  for (int i = 0; i < 70; ++i)
    wrapped = "ctorch._tensor\n_rebuild_from_type_v2\n(" + wrapped + "\x86N";
  CHECK_FALSE(error_of_pickle(wrapped + "R").empty());
  std::string deep = good_tensor;
  for (int i = 0; i < 70; ++i) deep = "]" + deep + "a";
  CHECK(error_of_pickle(deep) == "its values nest without end");
  std::string body = good_tensor;  // 2^50 tensors in some 300 bytes
  for (int i = 0; i < 50; ++i) body = "](" + body + "2e";
  CHECK(error_of_pickle(body) == "its values nest without end");
}

TEST_CASE("a file that ends too early is refused wherever it ends") {
  const TemporaryFolder folder;
  mnv3::write_pth(folder / "good.pth", {{"a", torch::ones({20, 30})}, {"b", torch::ones(7)}});
  const std::string good = files::read(folder / "good.pth");
  CHECK(error_of_file(good).empty());
  for (std::size_t length = 1; length < good.size(); length += 97) {
    const std::string error = error_of_file(std::string_view(good).substr(0, length));
    CHECK_FALSE(error.empty());
    CHECK(error.find('\n') == std::string::npos);
    if (length > 4)
      CHECK(
          error.starts_with("it is a zip archive that is damaged or ends too early (it has no "
                            "directory). Copy or download it again"));
  }
}

TEST_CASE("a damaged file is refused, or the damage is where it does not matter") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "a.pth";
  mnv3::write_pth(path, {{"a", torch::ones({2, 3})}, {"b", torch::arange(5)}});
  const std::string good = files::read(path);
  const Tensors whole = read_all(path);
  int refused = 0, unharmed = 0;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const int change : {1, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ change);
      files::write(path, bad);
      Tensors tensors;
      const std::string error = files::error_of([&] { tensors = read_all(path); });
      CHECK(error.find('\n') == std::string::npos);
      if (!error.empty()) {
        ++refused;
        continue;
      }
      ++unharmed;
      REQUIRE(tensors.size() == 2);
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(tensors[i].first == whole[i].first);
        CHECK(same(tensors[i].second, whole[i].second));
      }
    }
  CHECK(refused > 1000);   // pickle, values, directory
  CHECK(unharmed > 1000);  // padding, time stamps, the version
}

TEST_CASE("what cannot be in a state dict is not written, and the file that was there stays") {
  const TemporaryFolder folder;
  files::write(folder / "a.pth", "old");
  const auto error = [&](const Tensors& tensors) {
    return error_of_write(folder / "a.pth", tensors);
  };
  const torch::Tensor good = torch::ones(3);
  CHECK(error({{"w", good}, {"w", good}}) == "tensor 'w' is given twice");
  CHECK(error({{"two\nlines", good}, {"two\nlines", good}}).find('\n') == std::string::npos);
  CHECK(error({{"w", torch::Tensor()}}) == "tensor 'w' is undefined");
  CHECK(error({{"w", good.to_sparse()}}) == "tensor 'w' is not dense");
  CHECK(error({{"w", torch::quantize_per_tensor(good, 1, 0, torch::kQInt8)}}) ==
        "tensor 'w' is not dense");
  CHECK(error({{"w", torch::empty({3}, torch::kMeta)}}) ==
        "tensor 'w' has no values: it is on the meta device");
  CHECK(error({{"w", torch::ones({1}, torch::kComplexFloat)}}) ==
        "tensor 'w' is of a dtype that is not supported (ComplexFloat)");
  CHECK(files::read(folder / "a.pth") == "old");
  CHECK(folder.size() == 1);
}

TEST_CASE("a place that cannot be written to says why") {
  const TemporaryFolder folder;
  const Tensors tensors{{"w", torch::ones(3)}};
  CHECK(error_of_write(folder / "none" / "a.pth", tensors) == "No such file or directory");
  CHECK(error_of_write(folder.path(), tensors) == "Is a directory");
  files::write(folder / "file", "x");
  CHECK(error_of_write(folder / "file" / "a.pth", tensors) == "Not a directory");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);  // not /dev/null: root could replace it
  CHECK(error_of_write(folder / "pipe", tensors) == "it is not a regular file");
  CHECK(std::filesystem::is_fifo(folder / "pipe"));
  if (::geteuid() == 0) {
    MESSAGE("not checked: folders and files without permission to write (root may write all)");
    return;
  }
  std::filesystem::permissions(folder / "file", std::filesystem::perms::owner_read);
  CHECK(error_of_write(folder / "file", tensors) == "Permission denied");
  CHECK(files::read(folder / "file") == "x");
}

TEST_CASE("a disk that fills up leaves the old file, and no new one") {
  const TemporaryFolder folder;
  files::write(folder / "a.pth", "old");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  for (const rlim_t limit : {0, 100, 5000, 9000}) {
    const rlimit small_limit{limit, old_limit.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small_limit) == 0);
    const std::string error =
        error_of_write(folder / "a.pth", {{"a", torch::ones(1000)}, {"b", torch::ones(1000)}});
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &old_limit) == 0);
    CHECK(error == "File too large");
  }
  std::signal(SIGXFSZ, old_handler);
  CHECK(files::read(folder / "a.pth") == "old");
  CHECK(folder.size() == 1);
}

TEST_CASE("a file is replaced as a whole, with its permissions, and leaves nothing beside it") {
  const TemporaryFolder folder;
  using std::filesystem::perms;
  files::write(folder / "a.pth", "old");
  std::filesystem::permissions(folder / "a.pth", perms::owner_read | perms::owner_write);
  mnv3::write_pth(folder / "a.pth", {{"w", torch::ones(3)}});
  CHECK(read_all(folder / "a.pth").size() == 1);
  CHECK(folder.size() == 1);
  CHECK(std::filesystem::status(folder / "a.pth").permissions() ==
        (perms::owner_read | perms::owner_write));

  const mode_t mask = ::umask(022);
  mnv3::write_pth(folder / "new.pth", {{"w", torch::ones(3)}});
  ::umask(mask);
  CHECK(std::filesystem::status(folder / "new.pth").permissions() == perms{0644});
}

TEST_CASE("a symbolic link is written through") {
  const TemporaryFolder folder;
  files::write(folder / "real.pth", "old");
  std::filesystem::create_symlink("real.pth", folder / "link.pth");
  mnv3::write_pth(folder / "link.pth", {{"w", torch::ones(3)}});
  CHECK(std::filesystem::is_symlink(folder / "link.pth"));
  CHECK(read_all(folder / "real.pth").size() == 1);
}

TEST_CASE("what a killed process left behind does not stop a write") {
  const TemporaryFolder folder;
  for (int i = 0; i < 100; ++i)
    files::write(folder / fmt::format(".mnv3-{}-{}.tmp", ::getpid(), i), "left");
  mnv3::write_pth(folder / "a.pth", {{"w", torch::ones(3)}});
  CHECK(folder.size() == 101);
}

TEST_CASE("a path without a folder is in the current one") {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  mnv3::write_pth("a.pth", {{"w", torch::ones(3)}});
  CHECK(read_all("a.pth").size() == 1);
  std::filesystem::current_path(before);
}
