// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/bytes/printable.hpp>
#include <mnv3/weights/bytes/text.hpp>
#include <mnv3/weights/bytes/zip.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/foreign_zip.hpp>
#include <mnv3/weights/formats/pickle.hpp>
#include <mnv3/weights/formats/pickled_tensors.hpp>

namespace mnv3::weights {

/// The folder in the archive, with its slash, that holds `data.pkl`. torch names it after the file
/// as that was called when it was written; "archive/", and others, are as good.
inline std::string find_top_folder(const ZipDirectory& zip) {
  constexpr std::string_view pickle = "data.pkl";
  std::string folder;
  for (const auto& [name, record] : zip.records()) {
    const std::size_t slash = name.find('/');
    if (slash == name.npos || std::string_view(name).substr(slash + 1) != pickle) continue;
    if (!folder.empty())
      throw WeightsError(text("there are two checkpoints in it: '", printable(folder), pickle,
                              "' and '", printable(name), '\''));
    folder = name.substr(0, slash + 1);
  }
  if (folder.empty()) throw WeightsError(describe_foreign_zip(zip));
  return folder;
}

/// Reads what `torch.save` or `torch.jit.save` wrote as a zip archive.
///
/// Errors  WeightsError, without the file's name.
/// Source  torch 1.13.1 torch/serialization.py `_save`,
///         torch/csrc/jit/serialization/export_module.cpp.
inline Checkpoint read_torch_zip(const InputFile& file) {
  const ZipDirectory zip(file);
  const std::string folder = find_top_folder(zip);
  if (const ZipRecord* const order = zip.find(folder + "byteorder");
      order != nullptr && read_record(file, *order, 16) == "big")
    throw WeightsError(
        "it was written on a big-endian machine. Re-save it in Python, torch >= 2.1, on a "
        "little-endian one: torch.save(torch.load(path), new_path)");

  const ZipRecord& pickled = *zip.find(folder + "data.pkl");
  const std::string bytes = read_record(
      file, pickled, pickled.is_deflated ? limits::unpacked_pickle_bytes : limits::pickle_bytes);
  const pickle::Document document = pickle::read(bytes);
  const bool is_script = zip.find(folder + "constants.pkl") != nullptr;
  PickledTensors found = [&] {
    try {
      return PickledTensors(document);
    } catch (const NoTensors&) {
      if (!is_script) throw;
      throw WeightsError(
          "it is a TorchScript archive whose modules have no weights: `torch.jit.freeze` made "
          "constants of them, which have no names. Save the module before it is frozen, best its "
          "state dict: torch.save(model.state_dict(), path)");
    }
  }();

  Checkpoint checkpoint{.entries = std::move(found.entries), .skipped_values = found.skipped};
  if (is_script) checkpoint.format = Format::torchscript;
  for (const PickledStorages::Source& source : found.storages()) {
    checkpoint.storages.push_back({.name = "data/" + printable(source.key), .bytes = source.bytes});
    if (const ZipRecord* const record = zip.find(folder + "data/" + source.key))
      checkpoint.storages.back().record = *record;
  }
  for (const TensorEntry& entry : checkpoint.entries) {
    if (!entry.unreadable.empty()) continue;
    const Storage& storage = checkpoint.storages[entry.storage];
    if (element_span(entry, storage.bytes) == 0) continue;
    if (!storage.record)
      throw WeightsError(text("tensor '", printable(entry.name),
                              "' has no values: there is no record ", storage.name));
    if (storage.bytes > storage.record->bytes)
      throw WeightsError(text("tensor '", printable(entry.name), "' has a storage of ",
                              storage.bytes, " bytes, but ", storage.name, " has ",
                              storage.record->bytes));
  }
  return checkpoint;
}

}  // namespace mnv3::weights
