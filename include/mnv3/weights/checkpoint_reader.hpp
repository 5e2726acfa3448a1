// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
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

  /// Reads one tensor, and no more of the file than that. It is on the CPU, has the strides it was
  /// saved with, and owns its memory. Where the file has a check sum of just that, it is checked.
  /// Safe to call from several threads.
  torch::Tensor read(const TensorEntry& entry) const {
    return named([&] {
      const std::size_t size = values().span_bytes(entry);
      torch::Tensor tensor = at::empty_strided(entry.shape, entry.strides,
                                               at::dtype(weights::scalar_type_of(entry.dtype)));
      auto* const bytes = static_cast<unsigned char*>(tensor.data_ptr());
      values().copy(entry, bytes, size);
      if (entry.dtype == Dtype::boolean)  // which is 0 or 1, whatever is in the file
        std::transform(bytes, bytes + size, bytes,
                       [](unsigned char byte) -> unsigned char { return byte != 0; });
      return tensor;
    });
  }

  /// Reads a tensor into another of the same shape, whose dtype and device it takes.
  void read_into(const TensorEntry& entry, const torch::Tensor& target) const {
    const torch::NoGradGuard no_grad;
    if (!is_laid_out_as(entry, target)) {
      target.copy_(read(entry));
      return;
    }
    named([&] { values().copy(entry, target.data_ptr(), values().span_bytes(entry)); });
    target.unsafeGetTensorImpl()->bump_version();  // as any operator that writes would do
  }

  /// Reads all values of these tensors once and keeps none: what can be wrong with them, damage
  /// that a check sum shows or a disk that fails, is known before anything is changed.
  void check(std::span<const TensorEntry* const> entries) const {
    std::vector<bool> is_checked(checkpoint_.storages.size());
    std::uint64_t total = 0;
    for (const TensorEntry* const entry : entries) {
      named([&] {
        const std::size_t size = values().span_bytes(*entry);
        total += size;
        if (size == 0 || is_checked[entry->storage]) return;
        is_checked[entry->storage] = true;
        values().check(*entry, size);
      });
    }
    // Views can make any amount of reading out of a small file.
    if (total / weights::limits::overlap > file_->size())
      named([] { throw WeightsError("its tensors share their values many times over"); });
  }

 private:
  void open(std::unique_ptr<const weights::InputFile> file) {
    file_ = std::move(file);
    checkpoint_ = weights::read_checkpoint(*file_);
  }

  template <class Action>
  std::invoke_result_t<Action> named(Action action) const {
    return weights::name_file_in_errors("read", path_, action);
  }

  weights::TensorValues values() const { return {*file_, checkpoint_}; }

  /// Whether the bytes of the file are those that the tensor has in memory.
  static bool is_laid_out_as(const TensorEntry& entry, const torch::Tensor& target) {
    if (!target.is_cpu() || entry.dtype == Dtype::boolean || target.is_neg() ||
        target.scalar_type() != weights::scalar_type_of(entry.dtype) ||
        !target.is_non_overlapping_and_dense() || target.sizes() != at::IntArrayRef(entry.shape))
      return false;
    for (std::size_t d = 0; d < entry.shape.size(); ++d)
      if (entry.shape[d] > 1 && entry.strides[d] != target.strides()[d]) return false;
    return true;
  }

  std::filesystem::path path_;
  std::unique_ptr<const weights::InputFile> file_;
  weights::Checkpoint checkpoint_;
};

}  // namespace mnv3
