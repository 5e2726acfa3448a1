// SPDX-License-Identifier: MIT
#include <mnv3/weights/formats/read_checkpoint.hpp>

#include <span>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "archive.hpp"

namespace {

using namespace std::string_literals;
using archive::Archive;
using mnv3::weights::InputFile;

std::string error_of(std::string_view bytes) {
  try {
    const InputFile file(std::as_bytes(std::span(bytes)));
    mnv3::weights::read_checkpoint(file);
  } catch (const mnv3::WeightsError& error) {
    return error.what();
  }
  return {};
}

/// A safetensors file.
std::string with_header(const std::string& header, std::size_t values = 0) {
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header +
         std::string(values, '\0');
}

void check(std::string_view bytes, std::string_view begin) {
  const std::string error = error_of(bytes);
  CHECK_MESSAGE(error.starts_with(begin), error);
}

}  // namespace

TEST_CASE("a file of another kind is told what it is") {
  check("", "it is empty");
  check(std::string(5000, '\0'), "it begins with zeros only");
  check("\x1f\x8b\x08", "it is compressed with gzip");
  check("\xfd\x37zXZ\0\0"s, "it is compressed with xz");
  check("BZh91AY", "it is compressed with bzip2");
  check("\x28\xb5\x2f\xfd\x24", "it is compressed with zstd");
  check("\x04\x22\x4d\x18\x64", "it is compressed with lz4");
  check("7z\xbc\xaf\x27\x1c\0\4"s, "it is a 7z archive");
  check("Rar!\x1a\x07\x01", "it is a rar archive");
  check(std::string(257, 'a') + "ustar", "it is a tar archive");
  check("\x89HDF\r\n\x1a\n", "it is an HDF5 file");
  check("version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer");
  check("\x93NUMPY\1", "it is a NumPy array");
  check("\x1c\0\0\0TFL3\x14"s, "it is a TensorFlow Lite model");
  check("\x20\0\0\0PTMF"s, "it is a model for torch's mobile");
  check("GGUF\3", "it is a GGUF file");
  check("tjgg\3", "it is a GGML file");
  check("\x89PNG\r\n", "it is a picture (PNG)");
  check("\xff\xd8\xff\xe0", "it is a picture (JPEG)");
  check(
      "\x7f"
      "ELF\2",
      "it is a program or library (ELF)");
  check("%PDF-1.7", "it is a PDF");
  check("\x08\x01\x12\xff\x03", "it is a TensorFlow SavedModel");
  check("\x08\x07\x12\x07pytorch", "it is an ONNX model");
  check("\x08\x08\x3a\x80\x01", "it is an ONNX model");
  check("\x80\x04\x95junk", "it is a Python pickle");
  check("\n <!DOCTYPE html>", "it is a web page");
  check("\xef\xbb\xbf<?xml", "it is a web page");
  check("\x01\x02\x03", "it is none of: a zip archive");
  check("\x80", "it is none of: a zip archive");
}

TEST_CASE("a text is quoted, so that one sees what was downloaded instead") {
  CHECK(error_of("Entry not found") == "it is a text, not weights. It begins: \"Entry not found\"");
  CHECK(error_of("Zugriff verweigert \xc3\xbc\nline two") ==
        "it is a text, not weights. It begins: \"Zugriff verweigert \xc3\xbc\"");
  CHECK(error_of(std::string(9000, 'a')) ==
        "it is a text, not weights. It begins: \"" + std::string(60, 'a') + "...\"");
  check("text \x1b[31m with an escape", "it is none of: a zip archive");
}

TEST_CASE("JSON is told from an index of several files") {
  check("{\"model_type\": \"mobilenet\"}", "it is JSON");
  check("[{\"a\": 1}]", "it is JSON");
  CHECK(error_of("{\"weight_map\": {\"w\": \"model-00001-of-00002.safetensors\"}}")
            .find("split into several files. Load those, such as "
                  "'model-00001-of-00002.safetensors'") != std::string::npos);
  CHECK(error_of("{\n \"weight_map\": {\"w\": \"pytorch_model-1.bin\"}}")
            .find("'pytorch_model-1.bin'") != std::string::npos);
  check("{\"weight_map\": {", "it is the index of a checkpoint");
}

TEST_CASE("a zip archive that torch did not write is told what is in it") {
  check(Archive{{{"weights/base.pth", "x"}}}.bytes(),
        "it is a zip archive that holds 'weights/base.pth'. Unpack it first");
  check(Archive{{{"a.npy", "x"}}}.bytes(), "it is an archive of NumPy arrays");
  check(Archive{{{"config.json", "x"}, {"model.weights.h5", "x"}}}.bytes(),
        "it is a zip archive of Keras");
  check(Archive{{{"saved_model.pb", "x"}}}.bytes(), "it is a zip archive with a TensorFlow");
  CHECK(error_of(Archive{{{"a.txt", "x"}}}.bytes()).ends_with("no data.pkl in it, but 'a.txt'"));
  check("PK\3\4 and then it was cut", "it is a zip archive that is damaged or ends too early");
}

TEST_CASE("a safetensors header is what the format allows, and no more") {
  const std::string w = R"("w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  CHECK(error_of(with_header("{" + w + "}  ", 4)).empty());
  CHECK(error_of(with_header(R"({"__metadata__":{"a":"b","c":"d"},)" + w + "}", 4)).empty());
  CHECK(error_of(with_header("{" + w + "," + w + "}", 4)) == "tensor 'w' is there twice");
  CHECK(error_of(with_header(R"({"__metadata__":{"a":"b","a":"d"},)" + w + "}", 4))
            .find("has 'a' twice in its metadata") != std::string::npos);
  CHECK(error_of(with_header(R"({"__metadata__":{},"__metadata__":{},)" + w + "}", 4))
            .find("'__metadata__' is there twice") != std::string::npos);
  CHECK(error_of(with_header("{\"\xff\":1}")).find("is not UTF-8") != std::string::npos);
  CHECK(error_of(with_header("{" + w + "}", 3)).find("reaches beyond the end of the file") !=
        std::string::npos);
  CHECK(error_of(with_header("{" + w + "}", 5)).find("belong to no tensor") != std::string::npos);
  check(with_header("{" + w + "}").substr(0, 30),
        "it is a safetensors file whose header reaches beyond its end");
  CHECK_FALSE(error_of(with_header(" {" + w + "}", 4)).empty());
  const std::string names = with_header("{\"" + std::string(5000, 'n') + "\":{}}");
  check(names, "the names of its tensors are too long: 'nnn");
  CHECK(error_of(names).size() < 200);
}

TEST_CASE("a tensor of a kind that cannot be read does not keep others from being read") {
  for (const std::string_view dtype : {"F8_E4M3", "F8_E5M2", "U16", "U32", "U64", "C64", "F4"}) {
    const std::string file =
        with_header(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":")" +
                        std::string(dtype) + R"(","shape":[2,2],"data_offsets":[4,8]}})",
                    8);
    const InputFile input(std::as_bytes(std::span(file)));
    const auto checkpoint = mnv3::weights::read_checkpoint(input);
    REQUIRE(checkpoint.entries.size() == 2);
    CHECK(checkpoint.entries[0].unreadable.empty());
    CHECK(checkpoint.entries[1].unreadable == "it is " + std::string(dtype));
    CHECK(checkpoint.entries[1].shape == std::vector<std::int64_t>{2, 2});
  }
}
