// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>

namespace mnv3::weights {

/// A JSON file, which is often the index of a checkpoint that is several files.
inline std::string describe_json(std::string_view head) {
  if (head.find("\"weight_map\"") == head.npos)
    return "it is JSON, a description of something, but no weights. Load the weights file that it "
           "came with";
  for (const std::string_view end : {".safetensors\"", ".bin\""}) {
    const std::size_t stop = head.find(end);
    if (stop == head.npos) continue;
    const std::size_t start = head.rfind('"', stop) + 1;
    return text(
        "it is the index of a checkpoint that is split into several files. Load those, such as '",
        printable(head.substr(start, stop - start + end.size() - 1)),
        "', or save the whole in Python as one");
  }
  return "it is the index of a checkpoint that is split into several files. Load those";
}

/// What a file is that is none of ours, and what to do about it.
///
/// @param head  Its first bytes.
/// Source  The formats' own descriptions, for the bytes that they begin with.
inline std::string describe_foreign_file(std::string_view head) {
  using namespace std::string_view_literals;
  struct Magic {
    std::size_t at;
    std::string_view bytes, what;
  };
  static constexpr Magic magics[]{
      {0, "\x1f\x8b", "it is compressed with gzip. Unpack it first"},
      {0, "\xfd\x37zXZ\0"sv, "it is compressed with xz. Unpack it first"},
      {0, "BZh", "it is compressed with bzip2. Unpack it first"},
      {0, "\x28\xb5\x2f\xfd", "it is compressed with zstd. Unpack it first"},
      {0, "\x04\x22\x4d\x18", "it is compressed with lz4. Unpack it first"},
      {0, "7z\xbc\xaf\x27\x1c", "it is a 7z archive. Unpack it first"},
      {0, "Rar!\x1a\x07", "it is a rar archive. Unpack it first"},
      {257, "ustar",
       "it is a tar archive. Unpack it first; if torch 0.1 wrote it, re-save it in Python: "
       "torch.save(torch.load(path), new_path)"},
      {0, "\x89HDF", "it is an HDF5 file, as Keras writes, whose networks are others"},
      {0, "version https://git-lfs",
       "it is a Git LFS pointer, not the file itself. Fetch that with: git lfs pull"},
      {0, "\x93NUMPY",
       "it is a NumPy array (.npy). Save tensors in Python: torch.save({name: "
       "torch.from_numpy(array) ...}, path)"},
      {4, "TFL3", "it is a TensorFlow Lite model, which has no tensors of torch's names"},
      {4, "PTMF", "it is a model for torch's mobile interpreter. Load what it was made of"},
      {0, "GGUF", "it is a GGUF file, as llama.cpp reads. Load what it was made of"},
      {0, "lmgg", "it is a GGML file, as llama.cpp reads. Load what it was made of"},
      {0, "fmgg", "it is a GGML file, as llama.cpp reads. Load what it was made of"},
      {0, "tjgg", "it is a GGML file, as llama.cpp reads. Load what it was made of"},
      {0, "\x89PNG", "it is a picture (PNG)"},
      {0, "\xff\xd8\xff", "it is a picture (JPEG)"},
      {0, "GIF8", "it is a picture (GIF)"},
      {8, "WEBP", "it is a picture (WebP)"},
      {0,
       "\x7f"
       "ELF",
       "it is a program or library (ELF)"},
      {0, "MZ", "it is a program for Windows"},
      {0, "%PDF", "it is a PDF"},
      {0, "\x08\x01\x12", "it is a TensorFlow SavedModel, whose networks are others"},
  };
  if (head.empty()) return "it is empty. Copy or download it again";
  for (const Magic& magic : magics)
    if (head.size() >= magic.at && head.substr(magic.at).starts_with(magic.bytes))
      return std::string(magic.what);
  if (head.find_first_not_of('\0') == head.npos)
    return "it begins with zeros only: it was never filled. Copy or download it again";
  // A version, then one of the fields that a model has, in protobuf.
  if (head.size() > 2 && head[0] == '\x08' && head[1] >= 1 && head[1] <= 32 &&
      "\x12\x1a\x22\x2a\x32\x3a\x42"sv.find(head[2]) != std::string_view::npos)
    return "it is an ONNX model. Load what it was made of";
  if (head[0] == '\x80' && head.size() > 1 && head[1] >= 2 && head[1] <= 5)
    return "it is a Python pickle that torch.save did not write. Save a state dict with torch.save";

  std::string_view content = head.substr(head.starts_with("\xef\xbb\xbf") ? 3 : 0);
  content.remove_prefix(std::min(content.find_first_not_of(" \t\r\n"), content.size()));
  if (content.starts_with('<'))
    return "it is a web page or XML. Was it downloaded from a link that needs a log-in?";
  if (content.starts_with("{\"") || content.starts_with("{\n") || content.starts_with("{ ") ||
      content.starts_with("{\r") || content.starts_with("[{") || content.starts_with("[\"") ||
      content.starts_with("{}"))
    return describe_json(content);
  // The last character may be cut.
  const std::string_view whole =
      content.substr(0, content.size() - std::min<std::size_t>(content.size(), 3));
  const bool has_control = std::any_of(head.begin(), head.end(), [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\n' && c != '\r') ||
           c == '\x7f';
  });
  if (!has_control && !content.empty() && (is_utf8(content) || (!whole.empty() && is_utf8(whole))))
    return text("it is a text, not weights. It begins: \"",
                printable(content.substr(0, content.find_first_of("\r\n")), 60), '"');
  return "it is none of: a zip archive or legacy file of torch.save, a TorchScript archive, a "
         "safetensors file";
}

}  // namespace mnv3::weights
