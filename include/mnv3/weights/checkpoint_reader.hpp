// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/types.h>

#include <mnv3/weights/bytes/input_file.hpp>
#include <mnv3/weights/bytes/limits.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/read_checkpoint.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/formats/tensor_values.hpp>
#include <mnv3/weights/tensors/arena.hpp>
#include <mnv3/weights/tensors/name_file.hpp>
#include <mnv3/weights/tensors/torch_dtype.hpp>

namespace mnv3 {

/// The tensors of a weights file: what Python's `torch.save` wrote, zip archive or legacy, a
/// TorchScript archive of `torch.jit.save`, or a safetensors file. Which it is, its content says.
/// Tensors within dicts or modules are named by the way to them: "model.features.0.0.weight".
/// Nothing in the file is ever executed.
///
/// Errors  WeightsError, from the constructor and from what reads values. The constructor has
///         checked every size in the file before any tensor is read.
class CheckpointReader {
 public:
  /// Opens the file and reads what is in it, but not the tensors' values.
  explicit CheckpointReader(const std::filesystem::path& path) : path_(path) {
    named([this] { open(std::make_unique<const weights::InputFile>(path_)); });
  }

  /// Reads a file that is in memory, which must outlive the reader. It is not copied.
  ///
  /// @param name  In errors, instead of the file's.
  explicit CheckpointReader(std::span<const std::byte> bytes, std::string name = "memory")
      : path_(std::move(name)) {
    named([&] { open(std::make_unique<const weights::InputFile>(bytes)); });
  }

  /// Reads a file that is open, or held in memory (`InputFile::hold`), so that it is the one that
  /// was hashed.
  CheckpointReader(std::unique_ptr<const weights::InputFile> file, std::filesystem::path path)
      : path_(std::move(path)) {
    named([&] { open(std::move(file)); });
  }

  const std::filesystem::path& path() const { return path_; }
  Format format() const { return checkpoint_.format; }

  /// In the order of the file. Names are unique.
  const std::vector<TensorEntry>& entries() const { return checkpoint_.entries; }

  /// How many values of the file are left out: epoch numbers, learning rates, arguments, and what
  /// has neither a text nor an integer for a key.
  std::size_t skipped_values() const { return checkpoint_.skipped_values; }

  /// How much of the file has been read so far, all in all.
  std::uint64_t bytes_read() const { return file_->bytes_read(); }

  /// The size of the file.
  std::uint64_t size() const { return file_->size(); }

  /// Reads one tensor. It is on the CPU, has the strides it was saved with, and owns its memory.
  /// Safe to call from several threads.
  torch::Tensor read(const TensorEntry& entry) const { return read(std::span(&entry, 1)).front(); }

  /// Reads these tensors, each as above. What several of them share is read once. Of the file no
  /// more is read than they span, but for records of an archive, which are read as a whole, because
  /// their check sums are of all of it.
  std::vector<torch::Tensor> read(std::span<const TensorEntry> entries) const {
    weights::Arena none(0);
    return read(entries, none);
  }

  /// The same in the memory of `arena`, while it has any.
  std::vector<torch::Tensor> read(std::span<const TensorEntry> entries,
                                  weights::Arena& arena) const {
    return named([&] {
      using Part = weights::TensorValues::Part;
      const weights::TensorValues values(*file_, checkpoint_);
      check_overlap(values, entries);
      std::vector<torch::Tensor> tensors;
      std::map<std::size_t, std::vector<Part>> parts;  // by storage
      for (const TensorEntry& entry : entries) {
        const std::size_t size = values.span_bytes(entry);
        tensors.push_back(
            arena.empty(entry.shape, entry.strides, weights::scalar_type_of(entry.dtype), size));
        if (size > 0)
          parts[entry.storage].push_back(
              {&entry, static_cast<unsigned char*>(tensors.back().data_ptr()), size});
      }
      for (const auto& [storage, its_parts] : parts) values.copy(its_parts);
      return tensors;
    });
  }

  /// How many bytes of an arena a tensor needs.
  std::size_t arena_bytes(const TensorEntry& entry) const {
    return named([&] {
      return weights::Arena::rounded(weights::TensorValues(*file_, checkpoint_).span_bytes(entry));
    });
  }

 private:
  void open(std::unique_ptr<const weights::InputFile> file) {
    file_ = std::move(file);
    checkpoint_ = weights::read_checkpoint(*file_);
  }

  /// Views can make any amount of memory out of a small file.
  void check_overlap(const weights::TensorValues& values,
                     std::span<const TensorEntry> entries) const {
    std::uint64_t total = 0;
    std::map<std::size_t, std::uint64_t> storages;
    for (const TensorEntry& entry : entries) {
      const std::size_t size = values.span_bytes(entry);
      total += size;
      if (size > 0) storages[entry.storage] = checkpoint_.storages[entry.storage].bytes;
    }
    std::uint64_t all = 0;
    for (const auto& [storage, bytes] : storages) all += bytes;
    if (total / weights::limits::overlap > all)
      throw WeightsError("its tensors share their values many times over");
  }

  template <class Action>
  std::invoke_result_t<Action> named(Action action) const {
    return weights::name_file_in_errors("read", path_, action);
  }

  std::filesystem::path path_;
  std::unique_ptr<const weights::InputFile> file_;
  weights::Checkpoint checkpoint_;
};

}  // namespace mnv3
