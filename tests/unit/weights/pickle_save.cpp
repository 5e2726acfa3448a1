// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/weights/checkpoint_reader.hpp>

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>

#include "files.hpp"

// What LibTorch's own C++ writes.

namespace {

std::map<std::string, torch::Tensor> read_all(const std::vector<char>& bytes) {
  const mnv3::CheckpointReader reader(std::as_bytes(std::span(bytes)));
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& entry : reader.entries()) tensors[entry.name] = reader.read(entry);
  return tensors;
}

}  // namespace

TEST_CASE("what torch::pickle_save writes of dicts, lists and tuples is read from memory") {
  const torch::Tensor a = torch::arange(6).reshape({2, 3}), b = torch::ones(3);
  c10::Dict<std::string, torch::Tensor> dict;
  dict.insert("a", a);
  dict.insert("b", b);
  auto found = read_all(torch::pickle_save(dict));
  REQUIRE(found.size() == 2);
  CHECK(torch::equal(found.at("a"), a));
  CHECK(torch::equal(found.at("b"), b));

  found = read_all(torch::pickle_save(c10::List<torch::Tensor>({a, b})));
  REQUIRE(found.size() == 2);
  CHECK(torch::equal(found.at("1"), b));

  found =
      read_all(torch::pickle_save(std::make_tuple(a, 3, c10::List<std::int64_t>({1, 2}), dict)));
  REQUIRE(found.size() == 3);
  CHECK(torch::equal(found.at("0"), a));
  CHECK(torch::equal(found.at("3.b"), b));
}

TEST_CASE("errors of a file in memory have the name that it was given") {
  const std::string bytes = "hello";
  CHECK(files::error_of([&] {
          mnv3::CheckpointReader{std::as_bytes(std::span(bytes))};
        }).starts_with("mnv3: cannot read memory: it is a text"));
  CHECK(files::error_of([&] {
          mnv3::CheckpointReader(std::as_bytes(std::span(bytes)), "the download");
        }).starts_with("mnv3: cannot read the download: "));
}

TEST_CASE("a tensor that cannot be read says why when it is read") {
  const std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                             R"("x":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[4,8]}})";
  const std::uint64_t size = header.size();
  const std::string bytes =
      std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(8, '\0');
  const mnv3::CheckpointReader reader(std::as_bytes(std::span(bytes)));
  CHECK(reader.read(reader.entries().at(0)).numel() == 1);
  CHECK(files::error_of([&] { reader.read(reader.entries().at(1)); }) ==
        "mnv3: cannot read memory: tensor 'x' cannot be read: it is F8_E4M3");
}
